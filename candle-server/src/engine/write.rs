//! Writing into a engine: everything that changes candles or the catalogue comes through here, so that nothing is left
//! out of the log.

use std::time::Duration;

use candle_core::{Handle, ListError, Outcomes, RecordContext, Tick};

use super::Engine;
use crate::journal::Durability;

impl Engine {
    /// Lists an instrument or describes it anew.
    ///
    /// # Errors
    /// As [`candle_core::Aggregator::list`].
    pub fn list(&self, id: &str, description: Option<&str>) -> Result<Handle, ListError> {
        match &self.journal {
            Some(journal) => journal.list(&self.aggregator, id, description),
            None => self.aggregator.list(id, description),
        }
    }

    /// Removes an instrument; whether it was listed.
    pub fn delist(&self, id: &str) -> bool {
        match &self.journal {
            Some(journal) => journal.delist(&self.aggregator, id),
            None => self.aggregator.delist(id),
        }
    }

    /// Records ticks in their order under the same context.
    pub fn record_batch(&self, ticks: &[(&str, Tick)], context: RecordContext) -> Outcomes {
        match &self.journal {
            Some(journal) => journal.record_batch(&self.aggregator, ticks, context),
            None => self.aggregator.record_batch(ticks, context),
        }
    }

    /// Forgets all candles.
    pub fn clear_candles(&self) {
        match &self.journal {
            Some(journal) => journal.clear_candles(&self.aggregator),
            None => self.aggregator.clear_candles(),
        }
    }

    /// The first number for ticks without one: above all those of the process before.
    pub fn first_seq(&self) -> u64 {
        self.journal.as_ref().map_or(0, |journal| journal.lsn())
    }

    /// Notes that a feed of this name is connected.
    pub fn note_feed(&self, feed: &str) {
        if let Some(journal) = &self.journal {
            journal.note_feed(feed);
        }
    }

    /// The feed that was connected last, by this process or the one before; known only where it is to survive.
    pub fn last_feed(&self) -> Option<String> {
        self.journal.as_ref().and_then(|journal| journal.feed())
    }

    /// How much a kill would lose now: the time since the last write that is safe.
    pub fn at_risk(&self) -> Option<Duration> {
        self.journal.as_ref().map(|journal| journal.at_risk(self.clock.elapsed()))
    }

    /// How many bytes were handed to the disk so far.
    pub fn kept_bytes(&self) -> u64 {
        self.journal.as_ref().map_or(0, |journal| journal.kept_bytes())
    }

    /// How well what is written is kept, where it is to survive.
    pub fn standing(&self) -> Option<Durability> {
        self.journal.as_ref().map(|journal| journal.standing(self.clock.elapsed()))
    }
}
