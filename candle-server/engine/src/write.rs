//! The methods of the engine that change candles or the catalogue. All changes use these methods, so the journal logs
//! every change.

use candle_core::{Handle, ListError, Outcomes, RecordContext, Tick, Unlisted};

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

    /// Records ticks in order by the handles of their instruments, all in the same context. `ids` are the ids of these
    /// instruments in the same order. Ticks of delisted instruments are rejected.
    ///
    /// Without a journal this saves one look-up a tick. A journal records and logs the ticks by id, so that a replay finds
    /// the same instruments.
    pub fn record_batch_at(&self, ids: &[&str], ticks: &[(Handle, Tick)], context: RecordContext) -> Outcomes {
        debug_assert_eq!(ids.len(), ticks.len(), "each tick has an id");
        match &self.journal {
            Some(journal) => {
                let by_id: Vec<(&str, Tick)> = ids.iter().zip(ticks).map(|(id, (_, tick))| (*id, *tick)).collect();
                let context = RecordContext { unlisted: Unlisted::Reject, ..context };
                journal.record_batch(&self.aggregator, &by_id, context)
            }
            None => self.aggregator.record_batch_at(ticks, context),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{Aggregator, Outcome, Timestamp};

    use super::*;
    use crate::clock::{Clock, ClockMode};
    use crate::journal::Journal;

    #[test]
    fn ticks_by_handle_have_the_same_effect_with_and_without_a_journal() {
        let plain = Engine::new(Aggregator::default(), Clock::new(ClockMode::Feed));
        let logged = Engine::new(Aggregator::default(), Clock::new(ClockMode::Feed));
        let logged = logged.with_journal(Arc::new(Journal::new(1, None)));
        let now = Timestamp::from_seconds(1_742_944_020).unwrap();
        let outcomes = [plain, logged].map(|engine| {
            let ids = ["a", "b", "a"];
            let handles = ids.map(|id| engine.list(id, None).unwrap());
            assert!(engine.delist("b"));
            let ticks: Vec<_> = handles.into_iter().map(|handle| (handle, Tick::new(now, 1.5))).collect();
            let outcomes = engine.record_batch_at(&ids, &ticks, RecordContext::from(now));
            (outcomes, engine.aggregator.history("a"), engine.aggregator.history("b"))
        });
        assert_eq!(outcomes[0], outcomes[1]);
        assert_eq!((outcomes[0].0.accepted(), outcomes[0].0.of(Outcome::UnknownInstrument)), (2, 1));
    }
}
