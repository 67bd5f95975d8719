//! The state machine that applies the log to an engine. Equal messages give equal engines on all nodes.
//!
//! It has no socket and no task: the caller passes each message with its sequence.

use std::fmt;
use std::sync::Arc;

use candle_core::{Aggregator, Timestamp};
use candle_engine::Engine;
use candle_engine::clock::ClockMode;
use candle_engine::codec::{self, Record};
use candle_engine::journal::{Batch, Write};
use candle_engine::replay::Replayed;
use candle_engine::status::STALE_AFTER;
use parking_lot::RwLockWriteGuard;

use crate::dedup::Deduplicator;
use crate::message::{self, Content, DecodeError, LSNS_PER_MESSAGE, LeaseAction, Origin, WritesHeader, first_lsn};
use crate::views::ViewLedger;

/// The number of messages that count as recent. They cover more than the last 35 s, which is the longest time that a
/// standby buffers: 20 messages a second of the leader, and one of each of 50 nodes. With a much higher number two
/// delistings of an instrument could be taken for one.
const RECENT_MESSAGES: u64 = 2500;

/// The number of writes after which waiting readers get their turn. So many take about as long as a few reads.
const WRITES_PER_PART: u64 = 512;

/// The reason for which a node can't follow the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FollowError {
    /// A later version of the server wrote a message.
    NewerVersion,
    /// The gateway validates ticks by other rules.
    DifferentRules,
    /// The next message does not continue the engine. The node has to start again from the checkpoint.
    OutOfSync(OutOfSync),
}

/// The reason for which an engine differs from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OutOfSync {
    /// The stream is gone, for this reason.
    StreamGone(String),
    /// Messages between two sequences are missing.
    Gap { after: u64, next: u64 },
    /// A gateway reset the log at this sequence, because it could not read all messages before.
    Reset { sequence: u64 },
}

impl OutOfSync {
    /// The reason if the subscription ended by itself.
    pub(crate) fn subscription_ended() -> Self {
        Self::StreamGone("the subscription to the log ended".to_owned())
    }
}

impl fmt::Display for OutOfSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { after, next } => {
                write!(f, "the log continues at message {next}, and this server has applied it up to message {after}")
            }
            Self::StreamGone(reason) => f.write_str(reason),
            Self::Reset { sequence } => {
                write!(f, "a gateway that could not read the whole log reset it at message {sequence}")
            }
        }
    }
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerVersion => {
                f.write_str("a later version of the server writes this log: update this server to that version")
            }
            Self::DifferentRules => {
                f.write_str("the gateway of the log and this server differ in --allow-non-positive: start both alike")
            }
            Self::OutOfSync(reason) => reason.fmt(f),
        }
    }
}

/// The last message of a gateway.
#[derive(Clone, Debug)]
pub(crate) struct LastWrites {
    pub(crate) sequence: u64,
    pub(crate) header: WritesHeader,
}

/// The effect of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// True if a gateway wrote the message.
    pub(crate) is_from_gateway: bool,
    /// The number of accepted ticks.
    pub(crate) accepted: u64,
}

/// An engine that follows the log.
#[derive(Debug)]
pub(crate) struct Follower {
    engine: Arc<Engine>,
    /// The random number of this process.
    node: u64,
    /// The sequence of the last applied message.
    applied: u64,
    /// By stripe: the lsn up to which its snapshot was complete, which can be beyond `applied`.
    snapshot_lsns: Box<[u64]>,
    last_writes: Option<LastWrites>,
    /// The sequence of the last message that cleared all candles.
    cleared: Option<u64>,
    views: ViewLedger,
    /// The newest ticks of the log, which a standby needs. Read nodes have none.
    dedup: Option<Deduplicator>,
}

impl Follower {
    /// A follower of an `engine` that is complete up to the message at `applied`. The last message of a gateway up to
    /// then is `last_writes`.
    pub(crate) fn new(engine: Arc<Engine>, node: u64, applied: u64, last_writes: Option<LastWrites>) -> Self {
        let mut views = ViewLedger::default();
        views.account_for(&engine.aggregator);
        let stripes = (0..).map_while(|stripe| engine.aggregator.stripe_snapshot(stripe));
        let snapshot_lsns = stripes.map(|stripe| stripe.lsn()).collect();
        let follower =
            Self { engine, node, applied, snapshot_lsns, last_writes: None, cleared: None, views, dedup: None };
        if let Some(last) = &last_writes {
            follower.apply_header(&last.header, true);
        }
        Self { last_writes, ..follower }
    }

    /// Adds the state that a gateway needs to continue the writes of another gateway.
    pub(crate) fn for_gateway(self) -> Self {
        Self { dedup: Some(Deduplicator::default()), ..self }
    }

    pub(crate) fn aggregator(&self) -> &Aggregator {
        &self.engine.aggregator
    }

    pub(crate) const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) const fn node(&self) -> u64 {
        self.node
    }

    /// The sequence of the last applied message.
    pub(crate) const fn applied(&self) -> u64 {
        self.applied
    }

    pub(crate) const fn last_writes(&self) -> Option<&LastWrites> {
        self.last_writes.as_ref()
    }

    pub(crate) const fn dedup(&self) -> Option<&Deduplicator> {
        self.dedup.as_ref()
    }

    /// Returns true if a recent message delisted the instrument.
    pub(crate) fn was_delisted_recently(&self, id: &str) -> bool {
        let oldest = first_lsn(self.applied.saturating_sub(RECENT_MESSAGES));
        self.views.last_delisted(id).is_some_and(|lsn| lsn >= oldest)
    }

    /// Returns true if a recent message cleared all candles.
    pub(crate) fn was_cleared_recently(&self) -> bool {
        self.cleared.is_some_and(|sequence| sequence >= self.applied.saturating_sub(RECENT_MESSAGES))
    }

    /// Returns true if the last message is so old that its prices are stale, no matter when it was applied.
    pub(crate) fn is_stale(&self) -> bool {
        let last = self.last_writes.as_ref().filter(|last| last.header.clock == ClockMode::Wall);
        let age = last.map(|last| self.engine.clock.wall().as_micros().saturating_sub(last.header.now));
        age.is_some_and(|age| u128::try_from(age).is_ok_and(|age| age > STALE_AFTER.as_micros()))
    }

    /// Checks that the log, which ends at `end`, is applied.
    ///
    /// # Errors
    /// Messages up to the end are missing.
    pub(crate) fn check_end(&self, end: u64) -> Result<(), FollowError> {
        if end > self.applied {
            return Err(FollowError::OutOfSync(OutOfSync::Gap { after: self.applied, next: end + 1 }));
        }
        Ok(())
    }

    /// The message with the views of this node's readers since the last call. Returns `None` if there are none.
    pub(crate) fn take_views(&mut self, batch: u64) -> Option<Vec<u8>> {
        let views = self.views.take(&self.engine.aggregator);
        if views.is_empty() {
            return None;
        }
        let encoded = codec::encode(&Batch::new(0), &views, self.aggregator().config().rules());
        Some(message::encode(Content::Views(Origin { node: self.node, batch }), &encoded))
    }

    /// Applies the message at `sequence`. Every node ignores foreign messages.
    ///
    /// # Errors
    /// This process can't follow the log any further.
    pub(crate) fn apply(&mut self, sequence: u64, bytes: &[u8]) -> Result<Applied, FollowError> {
        if sequence <= self.applied {
            return Ok(Applied::default());
        }
        if sequence != self.applied + 1 {
            return Err(FollowError::OutOfSync(OutOfSync::Gap { after: self.applied, next: sequence }));
        }
        self.applied = sequence;
        let decoded = message::decode(bytes).and_then(|(content, batch)| {
            let batch = Record::decode(batch).map_err(|error| match error {
                codec::DecodeError::Newer { .. } => DecodeError::NewerVersion,
                codec::DecodeError::Damaged => DecodeError::Foreign,
            })?;
            Ok((content, batch))
        });
        match decoded {
            Ok((Content::Writes(header), batch)) => self.apply_writes(sequence, header, &batch),
            Ok((Content::Views(origin), batch)) => {
                // The views of this node are in its aggregator already.
                if origin.node != self.node {
                    for (lsn, viewed) in (first_lsn(sequence)..).zip(batch.views()) {
                        self.views.add(&self.engine.aggregator, viewed, lsn);
                    }
                }
                Ok(Applied::default())
            }
            Err(DecodeError::NewerVersion) => Err(FollowError::NewerVersion),
            Err(DecodeError::Foreign) => {
                tracing::warn!(sequence, "ignored a message of the log that no gateway or node wrote");
                Ok(Applied::default())
            }
        }
    }

    fn apply_writes(
        &mut self,
        sequence: u64,
        header: WritesHeader,
        batch: &Record<'_>,
    ) -> Result<Applied, FollowError> {
        // Regardless of the epoch: the gateway may not know of the last epochs.
        if header.lease == LeaseAction::Reset && header.origin.node != self.node {
            return Err(FollowError::OutOfSync(OutOfSync::Reset { sequence }));
        }
        let epoch = self.last_writes.as_ref().map_or(0, |last| last.header.epoch);
        if header.epoch < epoch || batch.writes() as u64 >= LSNS_PER_MESSAGE {
            // Impossible: the claim of an epoch makes all writes of earlier epochs fail.
            tracing::error!(sequence, epoch = header.epoch, "ignored a message of an earlier leader");
            return Ok(Applied::default());
        }
        if batch.rules() != *self.aggregator().config().rules() {
            return Err(FollowError::DifferentRules);
        }
        let engine = Arc::clone(&self.engine);
        let mut applying = engine.begin_apply();
        let first_lsn = first_lsn(sequence);
        let replayed = self.replay(batch, first_lsn, header.now, &mut applying);
        let accepted = replayed.as_ref().map_or(0, |replayed| replayed.outcomes.accepted());
        if replayed.is_err() {
            tracing::error!(sequence, "a message of the log is damaged: its readable part is applied");
        }
        for (index, id) in batch.delisted() {
            let lsn = first_lsn + index;
            // A listing that ended before the snapshot is not the one whose views the snapshot contains.
            if lsn > self.snapshot_lsns[self.engine.aggregator.stripe_of(id) as usize] {
                self.views.remove(id);
            }
            self.views.record_delisting(id, lsn);
        }
        self.record_ticks(batch);
        if batch.clears() {
            self.cleared = Some(sequence);
        }
        let restarts_clock = batch.clears() || self.last_writes.is_none();
        self.apply_header(&header, restarts_clock);
        self.last_writes = Some(LastWrites { sequence, header });
        Ok(Applied { is_from_gateway: true, accepted })
    }

    /// Replays a batch in parts, so that no reader waits for long.
    ///
    /// Between two parts the clock advances by a microsecond, on all nodes alike. If the time up to `now` is too short
    /// for that, the rest of the batch is one part.
    fn replay(
        &self,
        batch: &Record<'_>,
        first_lsn: u64,
        now: i64,
        applying: &mut RwLockWriteGuard<'_, ()>,
    ) -> Result<Replayed, codec::DecodeError> {
        let clock = &self.engine.clock;
        let mut time = self.last_writes.as_ref().map_or(now, |last| last.header.now);
        let mut part_start = 0;
        let after_writes = |writes: u64| {
            if writes - part_start < WRITES_PER_PART || time + 1 >= now {
                return;
            }
            (part_start, time) = (writes, time + 1);
            if let Some(time) = Timestamp::from_micros(time) {
                clock.advance_to(time);
                RwLockWriteGuard::bump(applying);
            }
        };
        batch.replay(&self.engine.aggregator, &self.snapshot_lsns, first_lsn, clock.arrival(), after_writes)
    }

    /// Passes the ticks of a batch to the deduplicator.
    fn record_ticks(&mut self, batch: &Record<'_>) {
        let Some(dedup) = &mut self.dedup else { return };
        let aggregator = &self.engine.aggregator;
        for write in batch.to_batch().writes() {
            match write {
                Write::Ticks(run) => {
                    run.iter().for_each(|(id, tick)| dedup.record(aggregator, id, &tick, run.context.now));
                }
                Write::Delist { id } => dedup.remove(id),
                Write::Clear => dedup.clear(),
                Write::List { .. } => {}
            }
        }
    }

    /// Sets coverage and time as the gateway had them. Coverage comes first: no reader may see a time whose minute is
    /// not marked as partly covered yet.
    fn apply_header(&self, header: &WritesHeader, restarts_clock: bool) {
        if let Some(coverage) = header.coverage() {
            let is_delivering = !header.feed_is_down && header.lease != LeaseAction::Release;
            self.engine.feeds.set_log_coverage(coverage, is_delivering);
        }
        let Some(now) = header.now() else { return };
        if restarts_clock {
            self.engine.clock.restart_at(now);
        } else {
            self.engine.clock.advance_to(now);
        }
    }
}

#[cfg(test)]
mod tests;
