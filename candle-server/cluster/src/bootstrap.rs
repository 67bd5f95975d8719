//! Starts a node: connects, checks the streams, loads the checkpoint, and subscribes to the later messages of the log.

use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, Config};
use candle_engine::Engine;
use candle_engine::clock::{Clock, ClockMode};
use candle_engine::feeds::Feeds;
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;

use crate::broker::{Broker, BrokerError, StreamOptions};
use crate::checkpoint::{self, Checkpoint};
use crate::follower::{FollowError, Follower};
use crate::retry::retry;
use crate::subscribe::{self, Event, StreamId, subscribe};

/// The pause before a node that is out of sync restarts. Meanwhile, a gateway can write a newer checkpoint.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The number of failed attempts after which a warning is logged again: 20 attempts take about 10 s.
const FAILURES_PER_WARNING: u32 = 20;

/// Waits before a node that is out of sync restarts, and logs the reason.
///
/// # Errors
/// The text of any other error: the node can't follow the log any further.
pub(crate) async fn before_restart(error: FollowError, log: &impl fmt::Display) -> Result<(), String> {
    let FollowError::OutOfSync(reason) = error else { return Err(error.to_string()) };
    tracing::warn!(%log, "this node restarts from the checkpoint: {reason}");
    sleep(RESTART_PAUSE).await;
    Ok(())
}

/// The role of a node in the cluster.
#[derive(Clone, Debug)]
pub(crate) enum Participant {
    /// A gateway, which creates missing streams with the given options.
    Gateway(StreamOptions),
    /// A read node, which waits until the streams and a usable checkpoint exist.
    ReadNode,
}

/// The settings for the start of a node.
#[derive(Clone, Debug)]
pub(crate) struct BootstrapConfig<B: Broker> {
    pub(crate) address: B::Address,
    pub(crate) participant: Participant,
    /// The settings of the aggregator. The cluster determines the stripes, the seed and the instrument limit instead.
    pub(crate) core: Config,
    /// The random number that identifies the node.
    pub(crate) node: u64,
}

/// A started node: its broker, its follower and its subscription to the log.
#[derive(Debug)]
pub(crate) struct Bootstrapped<B> {
    pub(crate) broker: B,
    /// The time at which the stream of the log was created, in nanoseconds since the epoch.
    pub(crate) created: i128,
    pub(crate) follower: Follower,
    pub(crate) events: Receiver<Event>,
    pub(crate) continuity: Continuity,
}

/// The result of comparing the checkpoint with the log: which messages are available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continuity {
    /// The log has all messages after the checkpoint.
    Complete,
    /// No checkpoint exists yet, and the log has all messages from its first one on.
    NoCheckpoint,
    /// The broker deleted messages that the checkpoint does not contain.
    Gap,
}

impl Continuity {
    /// Compares a checkpoint that is complete up to `covered` with a log whose first message is `first`.
    const fn of(covered: Option<u64>, first: u64) -> Self {
        match covered {
            Some(covered) if first <= covered.saturating_add(1) => Self::Complete,
            None if first <= 1 => Self::NoCheckpoint,
            _ => Self::Gap,
        }
    }

    /// Returns the reason why a read node must wait, or `None` if it can start.
    const fn reason_to_wait(self) -> Option<&'static str> {
        match self {
            Self::Complete => None,
            Self::NoCheckpoint => Some("no gateway has written a checkpoint yet"),
            Self::Gap => Some("messages after the last checkpoint are gone; a gateway has to write a new one"),
        }
    }
}

/// Identifies the content of the checkpoint stream. If the revision is equal, the content is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CheckpointRevision {
    /// The times at which the log and the checkpoint stream were created, in nanoseconds since the epoch.
    created: [i128; 2],
    last_sequence: u64,
}

/// The last loaded checkpoint that was not usable: its revision, and the sequence up to which it is complete.
///
/// A checkpoint is large, so it is loaded again only after its revision has changed.
#[derive(Debug, Default)]
struct UnusableCheckpoint {
    loaded: Option<(CheckpointRevision, Option<u64>)>,
}

impl UnusableCheckpoint {
    /// Returns the reason to wait if the checkpoint `revision` is known to be unusable.
    ///
    /// `first` is the first sequence of the log.
    fn reason_to_wait(&self, revision: CheckpointRevision, first: u64) -> Option<&'static str> {
        let (_, covered) = self.loaded.filter(|(loaded, _)| *loaded == revision)?;
        Continuity::of(covered, first).reason_to_wait()
    }
}

/// Starts a node. Waits until the broker, the streams and the checkpoint are available.
///
/// # Errors
/// [`BrokerError::Unusable`] if the configuration of the server or the broker must be changed.
pub(crate) async fn bootstrap<B: Broker>(
    config: &BootstrapConfig<B>,
    feeds: impl Fn() -> Feeds,
) -> Result<Bootstrapped<B>, BrokerError> {
    let broker = until_available(config, || B::connect(&config.address)).await?;
    let unusable = RefCell::default();
    until_available(config, || attempt(&broker, config, &feeds, &unusable)).await
}

/// Repeats `attempt` until it succeeds or its error is permanent.
async fn until_available<B: Broker, T, F>(
    config: &BootstrapConfig<B>,
    attempt: impl Fn() -> F,
) -> Result<T, BrokerError>
where
    F: Future<Output = Result<T, BrokerError>>,
{
    let (address, attempt) = (&config.address, &attempt);
    let attempt = |failures: u32| async move {
        match attempt().await {
            Err(BrokerError::Unavailable(cause)) => {
                if failures % FAILURES_PER_WARNING == 1 {
                    tracing::warn!(log = %address, "waiting for the log: {cause}");
                }
                ControlFlow::Continue(failures + 1)
            }
            result => ControlFlow::Break(result),
        }
    };
    retry(RETRY_PAUSE, 0, attempt).await
}

async fn attempt<B: Broker>(
    broker: &B,
    config: &BootstrapConfig<B>,
    feeds: impl Fn() -> Feeds,
    unusable: &RefCell<UnusableCheckpoint>,
) -> Result<Bootstrapped<B>, BrokerError> {
    if let Participant::Gateway(options) = &config.participant {
        broker.prepare(options).await?;
    }
    let no_streams = || BrokerError::unavailable("no gateway has created the streams yet");
    let log = broker.info(broker.log_name()).await?.ok_or_else(no_streams)?;
    let (created, first) = (log.created, log.first_sequence);
    // The revision is read before the checkpoint. A snapshot that is stored in between is loaded again, but never
    // missed.
    let snapshots = broker.info(&broker.checkpoint_stream()).await?.ok_or_else(no_streams)?;
    let revision = CheckpointRevision { created: [created, snapshots.created], last_sequence: snapshots.last_sequence };
    if let Some(reason) = unusable.borrow().reason_to_wait(revision, first) {
        return Err(BrokerError::unavailable(reason));
    }
    let core = checkpoint::config(config.core, created);
    let stream = StreamId { name: broker.checkpoint_stream(), created: snapshots.created };
    let checkpoint = checkpoint::load(broker, stream, created, core).await?;
    let covered = checkpoint.as_ref().map(|checkpoint| checkpoint.covered);
    let continuity = Continuity::of(covered, first);
    // A gateway starts with the available state and resets the log in its claim. It then writes a complete checkpoint.
    if matches!(config.participant, Participant::ReadNode)
        && let Some(reason) = continuity.reason_to_wait()
    {
        unusable.borrow_mut().loaded = Some((revision, covered));
        return Err(BrokerError::unavailable(reason));
    }
    let empty = || Checkpoint { aggregator: Aggregator::new(core), covered: 0, reached: 0, last_writes: None };
    let checkpoint = checkpoint.unwrap_or_else(empty);
    // The log is read again, because log and checkpoint may have grown while the checkpoint was loaded.
    let log = broker.info(broker.log_name()).await?.ok_or_else(no_streams)?;
    subscribe::check_not_truncated(broker.log_name(), log.last_sequence, checkpoint.reached)?;
    let applied = checkpoint.covered.max(first.saturating_sub(1));
    let engine = Engine::new(checkpoint.aggregator, Clock::new(ClockMode::Feed)).with_feeds(feeds());
    let follower = Follower::new(Arc::new(engine), config.node, applied, checkpoint.last_writes);
    let stream = StreamId { name: broker.log_name().to_owned(), created };
    let events = subscribe(broker.clone(), stream, applied + 1);
    Ok(Bootstrapped { broker: broker.clone(), created, follower, events, continuity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_checkpoint_is_loaded_again_only_when_its_revision_changes() {
        let revision = CheckpointRevision { created: [1, 2], last_sequence: 512 };
        assert_eq!(UnusableCheckpoint::default().reason_to_wait(revision, 12), None);
        let unusable = UnusableCheckpoint { loaded: Some((revision, Some(10))) };
        assert!(unusable.reason_to_wait(revision, 12).is_some() && unusable.reason_to_wait(revision, 13).is_some());
        let newer = CheckpointRevision { last_sequence: 513, ..revision };
        let others = [[1, 3], [2, 2]].map(|created| CheckpointRevision { created, ..revision });
        for changed in [newer, others[0], others[1]] {
            assert_eq!(unusable.reason_to_wait(changed, 12), None, "{changed:?}");
        }
        // There was no checkpoint, and then the first messages of the log were deleted.
        let unusable = UnusableCheckpoint { loaded: Some((revision, None)) };
        assert_ne!(unusable.reason_to_wait(revision, 1), unusable.reason_to_wait(revision, 2));
    }

    #[test]
    fn there_is_a_gap_where_messages_are_gone_that_no_checkpoint_contains() {
        let without_checkpoint = [0, 1, 2].map(|first| Continuity::of(None, first));
        assert_eq!(without_checkpoint, [Continuity::NoCheckpoint, Continuity::NoCheckpoint, Continuity::Gap]);
        let behind_ten = [1, 10, 11].map(|first| Continuity::of(Some(10), first));
        assert_eq!((behind_ten, Continuity::of(Some(10), 12)), ([Continuity::Complete; 3], Continuity::Gap));
    }
}
