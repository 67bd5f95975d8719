//! Writes a checkpoint in rounds. In each round, the writer publishes a snapshot of each stripe, one after the other.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use candle_engine::stripe_rounds::StripeRounds;
use candle_engine::throttled_log::Incident;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{STRIPES, encode};
use crate::broker::{Broker, PublishResult};
use crate::follower::Follower;
use crate::retry::retry;

/// The longest duration of a round. With longer rounds, a node that starts would replay more messages. With shorter
/// rounds, the broker would store more snapshots.
///
/// A round is shorter if the log grows by the size of a checkpoint in less time. So a node that starts does not read
/// more bytes of the log than of the checkpoint.
pub(crate) const ROUND: Duration = Duration::from_mins(1);

/// The shortest duration of a round. Replaying the messages of 10 s takes no noticeable time.
const SHORTEST_ROUND: Duration = Duration::from_secs(10);

/// The most snapshots in the publishing queue.
const BUFFERED_SNAPSHOTS: usize = 4;

/// The most snapshots that are published at the same time. Each snapshot waits until several brokers have written it to
/// disk, and the first round can publish all snapshots at once.
const CONCURRENT_SNAPSHOTS: usize = 8;

/// The pause between two attempts to publish a snapshot.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The encoded snapshot of a stripe.
#[derive(Debug)]
struct Snapshot {
    stripe: u32,
    payload: Bytes,
    taken: Instant,
}

/// Publishes snapshots. Retries each snapshot until it is stored or older than [`ROUND`].
///
/// A snapshot can replace a newer snapshot of its stripe. A node that starts then replays more messages, but its state
/// is correct, because each snapshot contains the sequence that it covers.
async fn publish<B: Broker>(broker: B, created: i128, snapshots: Receiver<Snapshot>) {
    let snapshots = unfold(snapshots, async |mut snapshots| Some((snapshots.recv().await?, snapshots)));
    let publish = async |Snapshot { stripe, payload, taken }| {
        let (subject, id) = (broker.checkpoint_subject(stripe), format!("c.{created}.{stripe}.{}", fastrand::u64(..)));
        let attempt = |()| async {
            // A process that was suspended must not replace newer snapshots with an old one. Without a connection, the
            // client would queue the snapshot and send it later.
            let is_done = taken.elapsed() >= ROUND
                || (broker.is_connected()
                    && matches!(
                        broker.publish(subject.clone(), &id, None, payload.clone()).await,
                        PublishResult::Stored(_)
                    ));
            if is_done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        retry(RETRY_PAUSE, (), attempt).await;
    };
    snapshots.for_each_concurrent(CONCURRENT_SNAPSHOTS, publish).await;
}

/// The speed at which a writer publishes the snapshots of its first round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstRound {
    /// The writer publishes all stripes at once, because no node can start without a checkpoint.
    AtOnce,
    /// The writer spreads the stripes over the round, because a checkpoint already exists.
    Spread,
}

/// Writes the snapshots of a gateway while it is the leader.
#[derive(Debug)]
pub(crate) struct CheckpointWriter {
    sender: Sender<Snapshot>,
    publishing: JoinHandle<()>,
    created: i128,
    max_bytes: usize,
    rounds: StripeRounds,
    /// The number of snapshot bytes written in this round.
    written_bytes: u64,
    /// The number of bytes of the log that were read before this round.
    log_bytes: u64,
    too_long: Incident,
}

impl CheckpointWriter {
    /// Creates a writer that starts its first round at `now`, when `log_bytes` bytes of the log have been read.
    pub(crate) fn new<B: Broker>(broker: &B, created: i128, first: FirstRound, now: Duration, log_bytes: u64) -> Self {
        let (buffered, length) = match first {
            FirstRound::AtOnce => (STRIPES as usize, Duration::ZERO),
            FirstRound::Spread => (BUFFERED_SNAPSHOTS, ROUND),
        };
        let (sender, receiver) = channel(buffered);
        Self {
            sender,
            publishing: tokio::spawn(publish(broker.clone(), created, receiver)),
            created,
            max_bytes: broker.max_message_bytes(),
            // The rounds start with a random stripe. So all stripes get a snapshot even if no leader completes a round.
            rounds: StripeRounds::new(STRIPES, fastrand::u32(..STRIPES), now, length),
            written_bytes: 0,
            log_bytes,
            too_long: Incident::default(),
        }
    }

    /// Writes the snapshots that are due at `now`. If the broker is slow, the round takes longer.
    ///
    /// `follower` has applied `log_bytes` bytes of the log.
    pub(crate) fn write_due(&mut self, follower: &Follower, now: Duration, log_bytes: u64) {
        while let Ok(permit) = self.sender.try_reserve() {
            let Some(stripe) = self.rounds.next_due(now) else { return };
            let Some(snapshot) = follower.aggregator().stripe_snapshot(stripe) else { return };
            let payload = encode(follower, self.created, &snapshot);
            self.written_bytes += payload.len() as u64;
            if payload.len() <= self.max_bytes {
                permit.send(Snapshot { stripe, payload: payload.into(), taken: Instant::now() });
            } else if self.too_long.begin() {
                let (bytes, max_payload) = (payload.len(), self.max_bytes);
                tracing::error!(bytes, max_payload, "a snapshot is too long for the broker: raise its max_payload");
            }
            if self.rounds.visited() == u64::from(STRIPES) {
                let read = log_bytes.saturating_sub(self.log_bytes);
                let took = now.saturating_sub(self.rounds.started());
                self.rounds.restart(now, next_length(took, self.written_bytes, read));
                (self.written_bytes, self.log_bytes) = (0, log_bytes);
            }
        }
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        // This gateway is no longer the leader. The next leader writes the checkpoint.
        self.publishing.abort();
    }
}

/// Returns the length of the next round. The last round took `took`, wrote `written` bytes, and read `read` bytes of
/// the log.
fn next_length(took: Duration, written: u64, read: u64) -> Duration {
    let seconds = took.as_secs_f64() * written as f64 / read.max(1) as f64;
    Duration::from_secs_f64(seconds.clamp(SHORTEST_ROUND.as_secs_f64(), ROUND.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{Aggregator, Config};
    use candle_engine::Engine;
    use candle_engine::clock::{Clock, ClockMode};
    use tokio::time::sleep;

    use super::*;
    use crate::broker::memory::{LOSS_NOTICED_AFTER, MemoryBroker};
    use crate::checkpoint::config;

    fn empty() -> Follower {
        let engine = Engine::new(Aggregator::new(config(Config::default(), 1)), Clock::new(ClockMode::Feed));
        Follower::new(Arc::new(engine), 1, 0, None)
    }

    /// Returns a writer that has queued all snapshots of its first round.
    fn queued(broker: &MemoryBroker) -> CheckpointWriter {
        let mut writer = CheckpointWriter::new(broker, 1, FirstRound::AtOnce, Duration::ZERO, 0);
        writer.write_due(&empty(), Duration::ZERO, 0);
        writer
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_round_is_written_at_once() {
        let broker = MemoryBroker::default();
        let _writer = queued(&broker);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(broker.snapshot_count(), u64::from(STRIPES));
    }

    #[tokio::test(start_paused = true)]
    async fn leaders_that_write_for_less_than_a_round_write_every_stripe_between_them() {
        fastrand::seed(7);
        let (broker, follower) = (MemoryBroker::default(), empty());
        for _ in 0..20 {
            let mut writer = CheckpointWriter::new(&broker, 1, FirstRound::Spread, Duration::ZERO, 0);
            for second in 0..=ROUND.as_secs() / 2 {
                writer.write_due(&follower, Duration::from_secs(second), 0);
                sleep(Duration::from_secs(1)).await;
            }
        }
        assert_eq!(broker.stripe_count(), STRIPES as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_is_no_longer_the_leader_writes_no_snapshot() {
        let broker = MemoryBroker::default();
        broker.freeze();
        sleep(LOSS_NOTICED_AFTER).await;
        let writer = queued(&broker);
        sleep(Duration::from_secs(5)).await;
        drop(writer);
        broker.thaw();
        sleep(ROUND).await;
        assert_eq!(broker.snapshot_count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_older_than_a_round_is_not_written() {
        let broker = MemoryBroker::default();
        broker.freeze();
        sleep(LOSS_NOTICED_AFTER).await;
        let _writer = queued(&broker);
        sleep(ROUND + RETRY_PAUSE).await;
        broker.thaw();
        sleep(ROUND).await;
        assert_eq!(broker.snapshot_count(), 0);
    }

    #[test]
    fn a_round_takes_the_time_in_which_the_log_grows_by_a_checkpoint() {
        let after = |took, written, read| next_length(Duration::from_secs(took), written, read).as_secs();
        // The checkpoint has 100 MB and the log grows by 5 MB/s. The last rounds took 60 s, 20 s and 10 s.
        assert_eq!([after(60, 100, 300), after(20, 100, 100), after(10, 100, 50)], [20; 3]);
        assert_eq!([after(60, 100, 10), after(60, 100, 0), after(60, 1, 300), after(0, 100, 0)], [60, 60, 10, 10]);
    }
}
