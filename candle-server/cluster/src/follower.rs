//! Applies the messages of the log to an engine. All nodes that apply the same messages have equal engines.
//!
//! A [`Follower`] has no connection and no task. Its caller passes each message with its sequence.

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

/// The number of messages that count as recent.
///
/// They span more than 35 s, the longest time that a standby buffers: the leader sends 20 messages a second, and each
/// of 50 nodes sends one. With a much higher number, two delistings of an instrument could be mistaken for one.
const RECENT_MESSAGES: u64 = 2500;

/// The number of writes after which waiting readers run. Applying 512 writes takes about as long as a few reads.
const WRITES_PER_PART: u64 = 512;

/// The reason why a node can't follow the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FollowError {
    /// A later version of the server wrote the message, so this version can't decode it.
    NewerVersion,
    /// The gateway validates ticks with different rules.
    DifferentRules,
    /// Messages are missing between the engine and the next message. The node must restart from the checkpoint.
    OutOfSync(OutOfSync),
}

/// The reason why an engine is out of sync with the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OutOfSync {
    /// The stream was deleted. The value is the reason.
    StreamGone(String),
    /// The messages between the sequences `after` and `next` are missing.
    Gap { after: u64, next: u64 },
    /// A gateway reset the log at this sequence, because it could not read all earlier messages.
    Reset { sequence: u64 },
}

impl OutOfSync {
    /// Returns the reason for a subscription that ended without an event.
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

/// The last message that a gateway wrote: its sequence and its header.
#[derive(Clone, Debug)]
pub(crate) struct LastWrites {
    pub(crate) sequence: u64,
    pub(crate) header: WritesHeader,
}

/// The result of applying one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// True if a gateway wrote the message.
    pub(crate) is_from_gateway: bool,
    /// The number of accepted ticks.
    pub(crate) accepted: u64,
}

/// Applies the log to an engine, message by message.
#[derive(Debug)]
pub(crate) struct Follower {
    engine: Arc<Engine>,
    /// The random number that identifies this node. It marks the messages of views that this node published.
    node: u64,
    /// The sequence of the last applied message.
    applied: u64,
    /// By stripe: the lsn up to which the snapshot of the stripe is complete. The lsn can belong to a message after
    /// `applied`.
    snapshot_lsns: Box<[u64]>,
    last_writes: Option<LastWrites>,
    /// The sequence of the last message that cleared all candles.
    cleared: Option<u64>,
    views: ViewLedger,
    /// The deduplicator, which a standby needs for a failover. `None` on read nodes.
    dedup: Option<Deduplicator>,
}

impl Follower {
    /// Creates a follower whose `engine` contains all messages up to the sequence `applied`.
    ///
    /// `last_writes` is the last message of a gateway up to that sequence.
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

    /// Adds the deduplicator, which a gateway needs to continue the writes of another gateway.
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

    /// Returns the sequence of the last applied message.
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

    /// Returns true if one of the last [`RECENT_MESSAGES`] messages cleared all candles.
    pub(crate) fn was_cleared_recently(&self) -> bool {
        self.cleared.is_some_and(|sequence| sequence >= self.applied.saturating_sub(RECENT_MESSAGES))
    }

    /// Returns true if the last message of a gateway is so old that its prices are stale.
    ///
    /// The time in the message counts, and not the time at which the message was applied.
    pub(crate) fn is_stale(&self) -> bool {
        let last = self.last_writes.as_ref().filter(|last| last.header.clock == ClockMode::Wall);
        let age = last.map(|last| self.engine.clock.wall().as_micros().saturating_sub(last.header.now));
        age.is_some_and(|age| u128::try_from(age).is_ok_and(|age| age > STALE_AFTER.as_micros()))
    }

    /// Checks that all messages up to the sequence `end` are applied.
    ///
    /// # Errors
    /// [`FollowError::OutOfSync`] if messages up to `end` are missing.
    pub(crate) fn check_end(&self, end: u64) -> Result<(), FollowError> {
        if end > self.applied {
            return Err(FollowError::OutOfSync(OutOfSync::Gap { after: self.applied, next: end + 1 }));
        }
        Ok(())
    }

    /// Returns a message with the new views of this node, or `None` if there are none.
    pub(crate) fn take_views(&mut self, batch: u64) -> Option<Vec<u8>> {
        let views = self.views.take(&self.engine.aggregator);
        if views.is_empty() {
            return None;
        }
        let encoded = codec::encode(&Batch::new(0), &views, self.aggregator().config().rules());
        Some(message::encode(Content::Views(Origin { node: self.node, batch }), &encoded))
    }

    /// Applies the message at `sequence`. Ignores messages that this server did not write.
    ///
    /// # Errors
    /// [`FollowError`] if this node can't follow the log any further.
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
                // The aggregator has already counted the views of this node.
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
        // The epoch is not checked, because a gateway that resets the log may not know the last epochs.
        if header.lease == LeaseAction::Reset && header.origin.node != self.node {
            return Err(FollowError::OutOfSync(OutOfSync::Reset { sequence }));
        }
        let epoch = self.last_writes.as_ref().map_or(0, |last| last.header.epoch);
        if header.epoch < epoch || batch.writes() as u64 >= LSNS_PER_MESSAGE {
            // This case is impossible: after a claim, the broker rejects the writes of all earlier epochs.
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
            // If the listing ended before the snapshot, the views in the snapshot belong to a later listing.
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

    /// Replays a batch in parts, so that readers do not wait for the whole batch.
    ///
    /// Between two parts, the clock advances by 1 µs on all nodes. When the clock reaches `now`, the rest of the batch
    /// is one part.
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

    /// Sets the coverage and the time of the gateway.
    ///
    /// The coverage is set first. Otherwise a reader could see a new minute before its coverage is known.
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
