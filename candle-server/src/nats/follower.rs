//! One reader of the log as a state machine: the same messages make the same engine, whoever folds them.
//!
//! No socket and no task: messages come as bytes with their place in the log.

use std::fmt;
use std::sync::Arc;

use candle_core::{Aggregator, Timestamp};
use parking_lot::RwLockWriteGuard;

use super::message::{self, Body, ClockOf, Origin, Stage, SupplyOf, Writes};
use super::overlap::Overlap;
use super::views::Ledger;
use crate::codec::{DecodeError, Record};
use crate::engine::{Engine, status::STALE_AFTER};
use crate::journal::Write;
use candle_engine::replay::Replayed;

/// A message's writes are marked by its place in the log and theirs in it, so that everyone gives the same write the
/// same lsn; a message of a megabyte holds far fewer than this.
pub(super) const LSNS_PER_MESSAGE: u64 = 1 << 20;

/// As many messages are of more than the last 35 s, which is as long as a standby holds what came: twenty a second, and one
/// from each of fifty nodes. Much longer, and what ended twice would pass for what ended once.
const LATELY: u64 = 2500;

/// The writes that are folded at least before readers get their turn: they take about as long as a few reads.
const PART: u64 = 512;

/// The lsn of the first write of the message at `sequence`, which counts up from 1.
pub(super) const fn lsn_of(sequence: u64) -> u64 {
    sequence.saturating_mul(LSNS_PER_MESSAGE)
}

/// Why the log can't be followed any further by this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// A later version wrote a message.
    Newer,
    /// The gateway judges ticks by other rules.
    OtherRules,
    /// What follows can't be joined to what this engine holds; to a newer checkpoint it can.
    Lost(Lost),
}

/// Why a engine is not what the log came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The log itself is gone, for the reason why.
    Gone(String),
    /// Messages are missing that should be there.
    Gap { after: u64, next: u64 },
    /// A gateway went on at this place without having read all that was before.
    Anew { at: u64 },
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { after, next } => {
                write!(f, "the log goes on at message {next}, and this server knows it up to {after}")
            }
            Self::Gone(why) => f.write_str(why),
            Self::Anew { at } => write!(f, "the log begins anew at message {at}, after a time without any gateway"),
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer => f.write_str("a later version of the server writes this log"),
            Self::OtherRules => {
                f.write_str("the log's gateway and this server differ in --allow-non-positive; start both alike")
            }
            Self::Lost(lost) => lost.fmt(f),
        }
    }
}

/// The last message of a gateway.
#[derive(Clone, Debug)]
pub(super) struct Last {
    /// Its place in the log.
    pub(super) sequence: u64,
    pub(super) writes: Writes,
}

/// What one message did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Folded {
    /// Whether a gateway wrote it.
    pub(super) is_written: bool,
    /// How many ticks of it were accepted.
    pub(super) accepted: u64,
}

/// A engine that follows the log.
#[derive(Debug)]
pub(super) struct Follower {
    engine: Arc<Engine>,
    /// This process.
    node: u64,
    /// The place of the last message that is folded.
    position: u64,
    /// By stripe: the lsn up to which it held everything at first, maybe beyond `position`.
    lsns: Box<[u64]>,
    last: Option<Last>,
    /// The place of the last message that made all candles be forgotten.
    cleared: Option<u64>,
    ledger: Ledger,
    /// What a standby must know of the log; read nodes need not.
    overlap: Option<Overlap>,
}

impl Follower {
    /// A follower whose `engine` holds everything up to `position`, the last message of a gateway by then being `last`.
    pub(super) fn new(engine: Arc<Engine>, node: u64, position: u64, last: Option<Last>) -> Self {
        let mut ledger = Ledger::default();
        ledger.account_for(&engine.aggregator);
        let lsns = (0..).map_while(|stripe| engine.aggregator.stripe_snapshot(stripe)).map(|part| part.lsn()).collect();
        let follower = Self { engine, node, position, lsns, last: None, cleared: None, ledger, overlap: None };
        if let Some(last) = &last {
            follower.tell(&last.writes, true);
        }
        Self { last, ..follower }
    }

    /// The same, for a gateway that may have to go on where another one stopped.
    pub(super) fn for_gateway(self) -> Self {
        Self { overlap: Some(Overlap::default()), ..self }
    }

    pub(super) fn aggregator(&self) -> &Aggregator {
        &self.engine.aggregator
    }

    pub(super) const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(super) const fn node(&self) -> u64 {
        self.node
    }

    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    pub(super) const fn last(&self) -> Option<&Last> {
        self.last.as_ref()
    }

    pub(super) const fn overlap(&self) -> Option<&Overlap> {
        self.overlap.as_ref()
    }

    /// Whether the log delisted an instrument lately.
    pub(super) fn was_delisted_lately(&self, id: &str) -> bool {
        self.ledger.last_delisted(id).is_some_and(|lsn| lsn >= lsn_of(self.position.saturating_sub(LATELY)))
    }

    /// Whether the log forgot all candles lately.
    pub(super) fn was_cleared_lately(&self) -> bool {
        self.cleared.is_some_and(|sequence| sequence >= self.position.saturating_sub(LATELY))
    }

    /// Whether the last message is of so long ago that what came with it is no live price, whenever it was folded.
    pub(super) fn says_what_is_old(&self) -> bool {
        let last = self.last.as_ref().filter(|last| last.writes.clock == ClockOf::Wall);
        let age = last.map(|last| self.engine.clock.wall().as_micros().saturating_sub(last.writes.now));
        age.is_some_and(|age| u128::try_from(age).is_ok_and(|age| age > STALE_AFTER.as_micros()))
    }

    /// Takes note that nothing is behind what came, and that the log ends at `end`.
    ///
    /// # Errors
    /// Where that is further than what came: the rest is gone.
    pub(super) fn ends_at(&self, end: u64) -> Result<(), Halt> {
        if end > self.position {
            return Err(Halt::Lost(Lost::Gap { after: self.position, next: end + 1 }));
        }
        Ok(())
    }

    /// The views of this node's readers since the last call, as they are to be told.
    pub(super) fn take_views(&mut self, batch: u64) -> Option<Vec<u8>> {
        let views = self.ledger.take(&self.engine.aggregator);
        if views.is_empty() {
            return None;
        }
        let blob = crate::codec::encode(&crate::journal::Batch::new(0), &views, self.aggregator().config().rules());
        Some(message::encode(Body::Views(Origin { node: self.node, batch }), &blob))
    }

    /// Folds the message at `sequence`. What is no message of ours is left out, by everyone alike.
    ///
    /// # Errors
    /// Where this process can't go on.
    pub(super) fn fold(&mut self, sequence: u64, bytes: &[u8]) -> Result<Folded, Halt> {
        if sequence <= self.position {
            return Ok(Folded::default());
        }
        if sequence != self.position + 1 {
            return Err(Halt::Lost(Lost::Gap { after: self.position, next: sequence }));
        }
        self.position = sequence;
        let read = message::decode(bytes).and_then(|(body, blob)| {
            let blob = Record::decode(blob).map_err(|error| match error {
                DecodeError::Newer { .. } => message::Unreadable::Newer,
                DecodeError::Damaged => message::Unreadable::Foreign,
            })?;
            Ok((body, blob))
        });
        let (body, blob) = match read {
            Ok(read) => read,
            Err(message::Unreadable::Newer) => return Err(Halt::Newer),
            Err(message::Unreadable::Foreign) => {
                tracing::warn!(sequence, "the log holds something that is no message of ours; it is left out");
                return Ok(Folded::default());
            }
        };
        match body {
            Body::Writes(writes) => self.fold_writes(sequence, writes, &blob),
            Body::Views(origin) => {
                // One's own were counted when they happened.
                if origin.node != self.node {
                    for (lsn, viewed) in (lsn_of(sequence)..).zip(blob.views()) {
                        self.ledger.add(&self.engine.aggregator, viewed, lsn);
                    }
                }
                Ok(Folded::default())
            }
        }
    }

    fn fold_writes(&mut self, sequence: u64, writes: Writes, blob: &Record<'_>) -> Result<Folded, Halt> {
        // Whatever its epoch: it may lack one or two of those before.
        if writes.stage == Stage::Anew && writes.origin.node != self.node {
            return Err(Halt::Lost(Lost::Anew { at: sequence }));
        }
        let before = self.last.as_ref().map_or(0, |last| last.writes.epoch);
        if writes.epoch < before || blob.writes() as u64 >= LSNS_PER_MESSAGE {
            // Can't be: an epoch begins by a write that makes those of the one before impossible.
            tracing::error!(sequence, epoch = writes.epoch, "a message of an earlier gateway is left out");
            return Ok(Folded::default());
        }
        if blob.rules() != *self.aggregator().config().rules() {
            return Err(Halt::OtherRules);
        }
        let engine = Arc::clone(&self.engine);
        let mut folding = engine.begin_apply();
        let first_lsn = lsn_of(sequence);
        let replayed = self.replay(blob, first_lsn, writes.now, &mut folding);
        let accepted = replayed.as_ref().map_or(0, |replayed| replayed.outcomes.accepted());
        if replayed.is_err() {
            tracing::error!(sequence, "a message of the log is damaged; what can be read of it is folded");
        }
        for (place, id) in blob.delisted() {
            let lsn = first_lsn + place;
            // What a snapshot saw end is not the listing whose views came with it.
            if lsn > self.lsns[self.engine.aggregator.stripe_of(id) as usize] {
                self.ledger.forget(id);
            }
            self.ledger.delisted(id, lsn);
        }
        self.note_overlap(blob);
        if blob.clears() {
            self.cleared = Some(sequence);
        }
        let is_fresh = blob.clears() || self.last.is_none();
        self.tell(&writes, is_fresh);
        self.last = Some(Last { sequence, writes });
        Ok(Folded { is_written: true, accepted })
    }

    /// Does again what a message tells, in parts, so that nobody who reads waits for long. Between two parts it is a moment of
    /// their own, the same on every node; where the message's `now` leaves none it is all one part.
    fn replay(
        &self,
        blob: &Record<'_>,
        first_lsn: u64,
        now: i64,
        folding: &mut RwLockWriteGuard<'_, ()>,
    ) -> Result<Replayed, DecodeError> {
        let clock = &self.engine.clock;
        let mut moment = self.last.as_ref().map_or(now, |last| last.writes.now);
        let mut done = 0;
        let between = |writes: u64| {
            if writes - done < PART || moment + 1 >= now {
                return;
            }
            (done, moment) = (writes, moment + 1);
            if let Some(moment) = Timestamp::from_micros(moment) {
                clock.advance_to(moment);
                RwLockWriteGuard::bump(folding);
            }
        };
        blob.replay(&self.engine.aggregator, &self.lsns, first_lsn, clock.arrival(), between)
    }

    fn note_overlap(&mut self, blob: &Record<'_>) {
        let Some(overlap) = &mut self.overlap else { return };
        for write in blob.to_batch().writes() {
            match write {
                Write::Ticks(run) => {
                    run.iter().for_each(|(id, tick)| overlap.note(&self.engine.aggregator, id, &tick, run.context.now))
                }
                Write::Delist { id } => overlap.forget(id),
                Write::Clear => overlap.clear(),
                Write::List { .. } => {}
            }
        }
    }

    /// Lets readers see coverage and time as the gateway had them. Coverage first: a minute that is not quite covered
    /// yet must not be seen by a `now` that is in it.
    fn tell(&self, writes: &Writes, is_fresh: bool) {
        if let Some(coverage) = writes.coverage() {
            self.engine
                .feeds
                .set_log_coverage(coverage, writes.supply == SupplyOf::Up && writes.stage != Stage::Closing);
        }
        let Some(now) = writes.now() else { return };
        if is_fresh {
            self.engine.clock.restart_at(now);
        } else {
            self.engine.clock.advance_to(now);
        }
    }
}

#[cfg(test)]
mod tests;
