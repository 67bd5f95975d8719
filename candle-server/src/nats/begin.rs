//! The way to the log: connect, look at the streams, read the checkpoint, read on from there.

use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, Config};
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;

use super::checkpoint::{self, Restored};
use super::follower::Follower;
use super::log::{Access, Keeping, Log, LogError};
use super::tail::{self, Event, Of};
use super::url::LogUrl;
use crate::clock::{Clock, ClockMode};
use crate::engine::Engine;
use crate::feeds::Feeds;

/// How long to wait before the next try.
const RETRY: Duration = Duration::from_millis(500);

/// How often the log says what is waited for, in tries.
const GRUMBLE_EVERY: u32 = 20;

/// Who comes to the log.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// A gateway, which makes what is not there.
    Gateway(Keeping),
    /// A read node, which waits for it.
    Reader,
}

/// What is needed to come to the log.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) url: LogUrl,
    pub(super) access: Access,
    pub(super) role: Role,
    /// The core's settings, those of the log left out.
    pub(super) core: Config,
    /// This process.
    pub(super) node: u64,
}

/// A log that is being followed.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) log: Log,
    pub(super) created: i128,
    pub(super) follower: Follower,
    pub(super) events: Receiver<Event>,
    pub(super) checkpoint: Found,
}

/// Whether the log goes on from its checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It does: together they are all there ever was.
    Whole,
    /// The checkpoint is still to be written, and whoever follows the log knows all there ever was.
    Due,
    /// Between the two some messages are gone.
    Torn,
}

/// What there is where every stripe of a checkpoint covers the log up to `covered`, and its first message is at `first`.
const fn found(covered: Option<u64>, first: u64) -> Found {
    match covered {
        Some(covered) if first <= covered.saturating_add(1) => Found::Whole,
        None if first <= 1 => Found::Due,
        _ => Found::Torn,
    }
}

/// What a reader waits for where this is what it found.
const fn wanting(found: Found) -> Option<&'static str> {
    match found {
        Found::Whole => None,
        Found::Due => Some("no gateway has written its first checkpoint"),
        Found::Torn => Some("a gateway must write a checkpoint: the log lacks what came after the last"),
    }
}

/// A state of the checkpoint's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// When the log was made, and when the stream, in nanoseconds since the epoch.
    created: [i128; 2],
    last_sequence: u64,
}

/// What a checkpoint covers that was read in vain: it is long, and read again only once there is something new in it.
#[derive(Debug, Default)]
struct InVain {
    read: Option<(State, Option<u64>)>,
}

impl InVain {
    /// What to wait for, where the checkpoint is known to be `state` still, and the log's first message is at `first`.
    fn wanting(&self, state: State, first: u64) -> Option<&'static str> {
        let (_, covered) = self.read.filter(|(read, _)| *read == state)?;
        wanting(found(covered, first))
    }
}

/// Comes to the log, however long it takes until a broker and all that is needed is there.
///
/// # Errors
/// [`LogError::Unfit`], where waiting is of no use.
pub(super) async fn begin(way: &Way, feeds: impl Fn() -> Feeds) -> Result<Begun, LogError> {
    let log = patiently(way, async || Log::connect(&way.url, &way.access).await).await?;
    let mut in_vain = InVain::default();
    patiently(way, async || attempt(&log, way, &feeds, &mut in_vain).await).await
}

/// Tries again until it succeeds, or will not do.
async fn patiently<T>(way: &Way, mut attempt: impl AsyncFnMut() -> Result<T, LogError>) -> Result<T, LogError> {
    let mut tries = 0_u32;
    loop {
        match attempt().await {
            Err(LogError::Away(what)) => {
                if tries % GRUMBLE_EVERY == 1 {
                    tracing::warn!(log = %way.url, "the log is not there yet: {what}");
                }
                tries += 1;
            }
            done => return done,
        }
        sleep(RETRY).await;
    }
}

async fn attempt(log: &Log, way: &Way, feeds: impl Fn() -> Feeds, in_vain: &mut InVain) -> Result<Begun, LogError> {
    if let Role::Gateway(keeping) = &way.role {
        log.prepare(keeping).await?;
    }
    let not_made = || LogError::Away("no gateway has made its streams".to_owned());
    let waiting = |what: &str| LogError::Away(what.to_owned());
    let info = log.info(log.name()).await?.ok_or_else(not_made)?;
    let (created, first) = (info.created.unix_timestamp_nanos(), info.state.first_sequence);
    // Asked before it is read: what is written meanwhile is read once more, and not missed.
    let info = log.info(&log.checkpoints()).await?.ok_or_else(not_made)?;
    let state =
        State { created: [created, info.created.unix_timestamp_nanos()], last_sequence: info.state.last_sequence };
    if let Some(what) = in_vain.wanting(state, first) {
        return Err(waiting(what));
    }
    let config = checkpoint::config(way.core, created);
    let restored = checkpoint::load(log, created, config).await?;
    let covered = restored.as_ref().map(|restored| restored.covered);
    let checkpoint = found(covered, first);
    // A gateway makes the best of what there is, and says so to all; what it then writes is whole.
    if matches!(way.role, Role::Reader)
        && let Some(what) = wanting(checkpoint)
    {
        in_vain.read = Some((state, covered));
        return Err(waiting(what));
    }
    let empty = || Restored { aggregator: Aggregator::new(config), covered: 0, reaches: 0, last: None };
    let restored = restored.unwrap_or_else(empty);
    // Asked once more: the log has gone on meanwhile, and the checkpoint with it.
    let info = log.info(log.name()).await?.ok_or_else(not_made)?;
    tail::holds(log.name(), info.state.last_sequence, restored.reaches)?;
    let position = restored.covered.max(first.saturating_sub(1));
    let engine = Engine::new(restored.aggregator, Clock::new(ClockMode::Feed)).with_feeds(feeds());
    let follower = Follower::new(Arc::new(engine), way.node, position, restored.last);
    let of = Of { stream: log.name().to_owned(), created };
    let events = tail::spawn(log.clone(), of, position + 1);
    Ok(Begun { log: log.clone(), created, follower, events, checkpoint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_that_was_read_in_vain_is_read_again_once_there_is_something_new() {
        let state = State { created: [1, 2], last_sequence: 512 };
        assert_eq!(InVain::default().wanting(state, 12), None);
        let in_vain = InVain { read: Some((state, Some(10))) };
        assert!(in_vain.wanting(state, 12).is_some() && in_vain.wanting(state, 13).is_some());
        let newer = State { last_sequence: 513, ..state };
        let others = [[1, 3], [2, 2]].map(|created| State { created, ..state });
        for changed in [newer, others[0], others[1]] {
            assert_eq!(in_vain.wanting(changed, 12), None, "{changed:?}");
        }
        // Due at first, and then its first messages went.
        let in_vain = InVain { read: Some((state, None)) };
        assert_ne!(in_vain.wanting(state, 1), in_vain.wanting(state, 2));
    }

    #[test]
    fn a_log_is_torn_where_messages_are_gone_that_no_checkpoint_holds() {
        assert_eq!([found(None, 0), found(None, 1), found(None, 2)], [Found::Due, Found::Due, Found::Torn]);
        let of = |first| found(Some(10), first);
        assert_eq!([of(1), of(10), of(11), of(12)], [Found::Whole, Found::Whole, Found::Whole, Found::Torn]);
    }
}
