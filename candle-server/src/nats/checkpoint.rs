//! What the log came to by a certain place, so that nobody need read all of it: each stripe's snapshot, one message
//! each, the last of which counts.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use candle_core::{Aggregator, Config, StripeSnapshot};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::follower::{Follower, Last};
use super::log::{Log, LogError, Sent};
use super::message::Writes;
use super::tail::{self, Event, Of};

/// Goes up with each change of the form below.
const VERSION: u32 = 1;

/// How many stripes the aggregator behind a log has: so many that the snapshot of one fits a message of a megabyte with
/// 200,000 instruments listed, 400 to a stripe and 2.1 KB each.
pub(super) const STRIPES: usize = COUNT as usize;

/// The same, as stripes are counted.
const COUNT: u32 = 512;

/// How long until every stripe has a new snapshot, at most: longer means more to replay, shorter more to write. Where the
/// log grows faster than by one checkpoint in this time, a round is as long as it takes for that: so whoever starts reads
/// no more of the log than of the checkpoint, and the broker stores no more for the checkpoint than for the log.
pub(super) const ROUND: Duration = Duration::from_mins(1);

/// How long a round takes at least: what comes in so short a time is read in no time.
const SHORTEST_ROUND: Duration = Duration::from_secs(10);

/// Snapshots that wait to be sent.
const WAITING: usize = 4;

/// Snapshots that are under way at once: each waits for the disks of several brokers, and those of a first round are all
/// due together.
const UNDER_WAY: usize = 8;

/// How long to wait before a snapshot is sent again.
const RETRY: Duration = Duration::from_millis(500);

/// The longest that reading may take without any message: then it is begun anew.
const READING: Duration = Duration::from_secs(10);

/// What stands before a stripe's snapshot.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
    /// When the log was made, in nanoseconds since the epoch: what was kept of another one means nothing.
    created: i128,
    /// The place of the last message that is in the snapshot.
    covered: u64,
    /// The last message of a gateway by then, and its place.
    last: Option<(u64, Writes)>,
}

/// What a checkpoint holds.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) aggregator: Aggregator,
    /// The place up to which every stripe holds everything.
    pub(super) covered: u64,
    /// The place up to which at least one does.
    pub(super) reaches: u64,
    pub(super) last: Option<Last>,
}

/// The settings of an aggregator behind the log that was made at `created`: the same for everyone, so that parts fit
/// together whoever wrote them. How many may be listed is the gateway's to say.
pub(super) fn config(config: Config, created: i128) -> Config {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any bits will do")]
    let seed = created as u64;
    config.with_stripes(STRIPES).with_seed(seed).with_max_instruments(Config::MAX_INSTRUMENTS_LIMIT)
}

/// Reads the checkpoint of the log that was made at `created`, if there is a whole one.
pub(super) async fn load(log: &Log, created: i128, config: Config) -> Result<Option<Restored>, LogError> {
    let away = |error: &dyn std::fmt::Display| LogError::Away(error.to_string());
    let stream = log.context().get_stream(log.checkpoints()).await.map_err(|error| away(&error))?;
    let of = Of { stream: log.checkpoints(), created: stream.cached_info().created.unix_timestamp_nanos() };
    let mut events = tail::spawn(log.clone(), of, 1);
    let mut parts = Vec::new();
    loop {
        let event = timeout(READING, events.recv()).await.map_err(|_| away(&"the checkpoint can't be read"))?;
        let entry = match event {
            Some(Event::Message(entry)) => entry,
            Some(Event::End(_)) => break,
            Some(Event::Gone(why)) => return Err(LogError::Away(why)),
            None => return Err(away(&"the checkpoint can't be read")),
        };
        parts.push(entry.payload);
        if entry.pending == 0 {
            break;
        }
    }
    Ok(assemble(config, created, &parts))
}

/// What messages come to, oldest first; `None` where not all stripes are among them: the first gateway has just begun.
pub(super) fn assemble(config: Config, created: i128, messages: &[Bytes]) -> Option<Restored> {
    let parts = messages.iter().filter_map(|bytes| decode(bytes)).filter(|(head, _)| head.created == created);
    let parts: BTreeMap<_, _> = parts.map(|(head, part)| (part.stripe(), (head, part))).collect();
    let oldest = parts.values().min_by_key(|(head, _)| head.covered);
    let (covered, last) = oldest.map(|(head, _)| (head.covered, head.last.clone()))?;
    let reaches = parts.values().map(|(head, _)| head.covered).max()?;
    let parts = parts.into_values().map(|(_, part)| part).collect();
    let last = last.map(|(sequence, writes)| Last { sequence, writes });
    let aggregator = Aggregator::restore(config, parts).ok()?;
    Some(Restored { aggregator, covered, reaches, last })
}

fn decode(bytes: &[u8]) -> Option<(Head, StripeSnapshot)> {
    let (head, part) = postcard::take_from_bytes::<Head>(bytes).ok().filter(|(head, _)| head.version == VERSION)?;
    Some((head, StripeSnapshot::decode(part).ok()?))
}

/// One stripe as `follower` has it now.
pub(super) fn encode(follower: &Follower, created: i128, part: &StripeSnapshot) -> Vec<u8> {
    let last = follower.last().map(|last| (last.sequence, last.writes.clone()));
    let head = Head { version: VERSION, created, covered: follower.position(), last };
    let mut bytes = postcard::to_allocvec(&head).expect("plain data in a growing vector");
    bytes.extend(part.encode());
    bytes
}

/// A stripe's snapshot on its way.
#[derive(Debug)]
struct Snapshot {
    stripe: u32,
    bytes: Bytes,
    taken: Instant,
}

/// Sends each snapshot until it is stored, or is older than the next one should be. One that is stored after a newer one of
/// its stripe makes more to replay, and nothing else: each says what it covers.
async fn send(log: Log, created: i128, snapshots: Receiver<Snapshot>) {
    let snapshots = unfold(snapshots, async |mut snapshots| Some((snapshots.recv().await?, snapshots)));
    let send = async |Snapshot { stripe, bytes, taken }| {
        let (subject, id) = (log.checkpoint_subject(stripe), format!("c.{created}.{stripe}.{}", fastrand::u64(..)));
        // A process that was stopped for long must not put what it had then in the place of what others wrote meanwhile;
        // neither must its client, which without a connection would keep it.
        while taken.elapsed() < ROUND {
            if log.is_connected()
                && matches!(log.send(subject.clone(), &id, None, bytes.clone()).await, Sent::Stored(_))
            {
                return;
            }
            sleep(RETRY).await;
        }
    };
    snapshots.for_each_concurrent(UNDER_WAY, send).await;
}

/// How the first round of a writer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstRound {
    /// All stripes at once: nobody can start before.
    AtOnce,
    /// As any other: there is a checkpoint already.
    InTurn,
}

/// Writes the snapshots of one gateway, stripe after stripe.
#[derive(Debug)]
pub(super) struct Writer {
    sender: Sender<Snapshot>,
    sending: JoinHandle<()>,
    created: i128,
    max_bytes: usize,
    /// The stripe with which each round begins, drawn by chance: where the log goes from one to the other before any of them
    /// comes round, every stripe is still written.
    first: u32,
    /// Stripes written so far in this round.
    written: u32,
    /// When it began, and how long it is to take.
    began: Duration,
    length: Duration,
    /// The bytes written in it, and how many of the log had been read when it began.
    bytes: u64,
    read: u64,
    has_warned: bool,
}

impl Writer {
    /// A writer that begins a round at `now`, after `read` bytes of the log.
    pub(super) fn new(log: &Log, created: i128, first: FirstRound, now: Duration, read: u64) -> Self {
        let (waiting, length) = match first {
            FirstRound::AtOnce => (STRIPES, Duration::ZERO),
            FirstRound::InTurn => (WAITING, ROUND),
        };
        let (sender, receiver) = channel(waiting);
        Self {
            sender,
            sending: tokio::spawn(send(log.clone(), created, receiver)),
            created,
            max_bytes: log.max_message_bytes(),
            first: fastrand::u32(..COUNT),
            written: 0,
            began: now,
            length,
            bytes: 0,
            read,
            has_warned: false,
        }
    }

    /// Writes what is due at `now` of what `follower` has folded, `read` bytes of the log. Where the broker is slow, rounds
    /// take longer.
    pub(super) fn turn(&mut self, follower: &Follower, now: Duration, read: u64) {
        let passed = now.saturating_sub(self.began).as_secs_f64();
        let share = if self.length.is_zero() { 1.0 } else { (passed / self.length.as_secs_f64()).min(1.0) };
        while f64::from(self.written) < f64::from(COUNT) * share {
            let Ok(permit) = self.sender.try_reserve() else { return };
            let Some(part) = follower.aggregator().stripe_snapshot((self.first + self.written) % COUNT) else { return };
            let bytes = encode(follower, self.created, &part);
            self.written += 1;
            self.bytes += bytes.len() as u64;
            if bytes.len() <= self.max_bytes {
                permit.send(Snapshot { stripe: part.stripe(), bytes: bytes.into(), taken: Instant::now() });
            } else if !std::mem::replace(&mut self.has_warned, true) {
                let (bytes, most) = (bytes.len(), self.max_bytes);
                tracing::error!(bytes, most, "a checkpoint is longer than the broker's max_payload: raise it");
            }
        }
        if self.written == COUNT {
            self.length = next_round(now.saturating_sub(self.began), self.bytes, read.saturating_sub(self.read));
            (self.written, self.began, self.bytes, self.read) = (0, now, 0, read);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Whoever writes the log now writes the checkpoint too.
        self.sending.abort();
    }
}

/// How long the next round is to take, after one that took so long and wrote so many bytes while so many of the log came.
fn next_round(took: Duration, written: u64, read: u64) -> Duration {
    let length = took.as_secs_f64() * written as f64 / read.max(1) as f64;
    Duration::from_secs_f64(length.clamp(SHORTEST_ROUND.as_secs_f64(), ROUND.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock, ClockMode};
    use crate::engine::Engine;
    use crate::nats::log::memory::{Memory, NOTICED};

    fn empty() -> Follower {
        let engine = Engine::new(Aggregator::new(config(Config::default(), 1)), Clock::new(ClockMode::Feed));
        Follower::new(Arc::new(engine), 1, 0, None)
    }

    /// A writer whose first round is queued, and the broker to which it goes.
    async fn queued(way: Memory) -> Writer {
        let follower = empty();
        let mut writer = Writer::new(&Log::in_memory(way).await, 1, FirstRound::AtOnce, Duration::ZERO, 0);
        writer.turn(&follower, Duration::ZERO, 0);
        writer
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_round_is_written_at_once() {
        let broker = Memory::default();
        let _writer = queued(broker.clone()).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(broker.snapshots(), STRIPES as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn gateways_that_write_for_less_than_a_round_write_every_stripe_between_them() {
        fastrand::seed(7);
        let (broker, follower) = (Memory::default(), empty());
        for _ in 0..20 {
            let mut writer =
                Writer::new(&Log::in_memory(broker.clone()).await, 1, FirstRound::InTurn, Duration::ZERO, 0);
            for second in 0..=ROUND.as_secs() / 2 {
                writer.turn(&follower, Duration::from_secs(second), 0);
                sleep(Duration::from_secs(1)).await;
            }
        }
        assert_eq!(broker.stripes(), STRIPES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_writes_no_longer_writes_no_snapshot() {
        let broker = Memory::default();
        broker.freeze();
        sleep(NOTICED).await;
        let writer = queued(broker.clone()).await;
        sleep(Duration::from_secs(5)).await;
        drop(writer);
        broker.thaw();
        sleep(ROUND).await;
        assert_eq!(broker.snapshots(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_that_is_older_than_a_round_is_not_written() {
        let broker = Memory::default();
        broker.freeze();
        sleep(NOTICED).await;
        let _writer = queued(broker.clone()).await;
        sleep(ROUND + RETRY).await;
        broker.thaw();
        sleep(ROUND).await;
        assert_eq!(broker.snapshots(), 0);
    }

    #[test]
    fn a_round_takes_as_long_as_the_log_takes_to_grow_by_a_checkpoint() {
        let after = |took, written, read| next_round(Duration::from_secs(took), written, read).as_secs();
        // One of 100 MB, and a log of 5 MB/s: whatever the round before was like.
        assert_eq!([after(60, 100, 300), after(20, 100, 100), after(10, 100, 50)], [20; 3]);
        assert_eq!([after(60, 100, 10), after(60, 100, 0), after(60, 1, 300), after(0, 100, 0)], [60, 60, 10, 10]);
    }

    #[test]
    fn the_encoded_bytes_of_a_checkpoint_are_fixed() {
        let mut coverage = candle_core::CoverageRing::default();
        coverage.up(candle_core::Timestamp::EPOCH);
        let writes = Writes {
            origin: crate::nats::message::Origin { node: 1, batch: 300 },
            epoch: 7,
            stage: crate::nats::message::Stage::Closing,
            now: 1_700_000_071_234_567,
            clock: crate::nats::message::ClockOf::Feed,
            next_number: 1 << 63,
            supply: crate::nats::message::SupplyOf::Down,
            coverage: coverage.to_parts(candle_core::Timestamp::EPOCH),
        };
        let engine = Engine::new(Aggregator::new(config(Config::default(), 1)), Clock::new(ClockMode::Feed));
        engine.aggregator.list_logged("a", Some("described"), 3).unwrap();
        let part = engine.aggregator.stripe_snapshot(engine.aggregator.stripe_of("a")).unwrap();
        let follower = Follower::new(Arc::new(engine), 1, 41, Some(Last { sequence: 40, writes }));
        let bytes: String =
            encode(&follower, 1_700_000_000_123_456_789, &part).iter().map(|byte| format!("{byte:02x}")).collect();
        let fixed = "01aab4aed8c7bfce972f29012801ac0207028ed0e9c58389850601808080808080808080010101000000000000\
                     00000000000000000000000000000000000000000000000000000001018004a102030000000000000000000001\
                     016101096465736372696265640000d9e9214ee0d82112";
        assert_eq!(bytes, fixed);
    }
}
