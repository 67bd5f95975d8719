//! The methods of the engine that change candles or the catalogue. All changes use these methods, so the journal logs
//! every change.

use candle_core::{Handle, ListError, Outcomes, RecordContext, Tick};

use crate::engine::Engine;
use crate::journal::Journal;

impl Engine {
    /// Lists an instrument or changes its description.
    ///
    /// # Errors
    /// See [`candle_core::Aggregator::list`].
    pub fn list(&self, id: &str, description: Option<&str>) -> Result<Handle, ListError> {
        match &self.journal {
            Some(journal) => journal.list(&self.aggregator, id, description),
            None => self.aggregator.list(id, description),
        }
    }

    /// Removes an instrument. Returns true if it was listed.
    pub fn delist(&self, id: &str) -> bool {
        match &self.journal {
            Some(journal) => journal.delist(&self.aggregator, id),
            None => self.aggregator.delist(id),
        }
    }

    /// Records ticks in order, all in the same context.
    pub fn record_batch(&self, ticks: &[(&str, Tick)], context: RecordContext) -> Outcomes {
        match &self.journal {
            Some(journal) => journal.record_batch(&self.aggregator, ticks, context),
            None => self.aggregator.record_batch(ticks, context),
        }
    }

    /// Clears the candles of all instruments.
    pub fn clear_candles(&self) {
        match &self.journal {
            Some(journal) => journal.clear_candles(&self.aggregator),
            None => self.aggregator.clear_candles(),
        }
    }

    /// Returns the first sequence number for ticks that the feed did not number.
    ///
    /// The number is higher than all numbers that an earlier process assigned.
    pub fn first_seq(&self) -> u64 {
        self.journal().map_or(0, Journal::next_lsn)
    }
}
