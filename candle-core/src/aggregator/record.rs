//! One tick at a time.

use super::Aggregator;
use crate::catalogue::ListError;
use crate::instrument::Handle;
use crate::outcome::Outcome;
use crate::terms::{Terms, Unlisted};
use crate::tick::Tick;

impl Aggregator {
    /// Records one tick, and says what became of it. Nothing is allocated, unless the tick lists its instrument.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick, terms: impl Into<Terms>) -> Outcome {
        let terms = terms.into();
        let judge = self.config.rules().at(terms.now);
        let judged = judge.judge(tick);
        let (mut stripe, slot) = self.lock_id(id);
        match (slot, terms.unlisted) {
            (Some(slot), _) => stripe.record(slot, &judged, &judge, &terms),
            (None, Unlisted::List) if judged.is_ok() => {
                drop(stripe);
                self.list_and_record(id, tick, &terms)
            }
            (None, Unlisted::Reject) => stripe.refuse(&judged, Outcome::UnknownInstrument, &terms),
            // What would not be accepted does not list its instrument, and is refused for its own sake.
            (None, Unlisted::List) => {
                let instead = judged.err().unwrap_or(Outcome::UnknownInstrument);
                stripe.refuse(&judged, instead, &terms)
            }
        }
    }

    /// Lists the tick's instrument and records the tick under one lock, so that a snapshot holds both or neither.
    #[cold]
    fn list_and_record(&self, id: &str, tick: &Tick, terms: &Terms) -> Outcome {
        let judge = self.config.rules().at(terms.now);
        let judged = judge.judge(tick);
        let listing = self.list_in(&mut self.catalogue.lock(), id);
        let instead = match listing {
            Ok((mut stripe, handle)) => return stripe.record(handle.slot, &judged, &judge, terms),
            Err(ListError::BadId(_)) => Outcome::BadId,
            Err(ListError::Full { .. }) => Outcome::Full,
        };
        self.lock_id(id).0.refuse(&judged, instead, terms)
    }

    /// Records one tick of the instrument that `handle` names: the fastest way for one tick.
    #[inline]
    pub fn record_at(&self, handle: Handle, tick: &Tick, terms: impl Into<Terms>) -> Outcome {
        let terms = terms.into();
        let judge = self.config.rules().at(terms.now);
        let judged = judge.judge(tick);
        let (mut stripe, slot) = self.stripes.lock_handle(handle);
        match slot {
            Some(slot) => stripe.record(slot, &judged, &judge, &terms),
            None => stripe.refuse(&judged, Outcome::UnknownInstrument, &terms),
        }
    }
}
