//! One tick at a time.

use super::Aggregator;
use crate::catalogue::ListError;
use crate::instrument::Handle;
use crate::outcome::Outcome;
use crate::terms::{Terms, Unlisted};
use crate::tick::{Admitted, Judge, Tick};

impl Aggregator {
    /// Records one tick, and says what became of it. Nothing is allocated, unless the tick lists its instrument.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick, terms: impl Into<Terms>) -> Outcome {
        let terms = terms.into();
        let judge = self.config.rules().at(terms.now);
        let admitted = match judge.judge(tick) {
            Ok(admitted) => admitted,
            Err(refused) => return self.refuse(id, refused, &terms),
        };
        let (mut stripe, slot) = self.lock_id(id);
        match (slot, terms.unlisted) {
            (Some(slot), _) => stripe.record(slot, &admitted, &judge, &terms),
            (None, Unlisted::Reject) => stripe.note(Outcome::UnknownInstrument, terms.mark),
            (None, Unlisted::List) => {
                drop(stripe);
                self.list_and_record(id, &admitted, &judge, &terms)
            }
        }
    }

    /// Counts a tick that its judge refused. It does not list its instrument.
    #[cold]
    fn refuse(&self, id: &str, refused: Outcome, terms: &Terms) -> Outcome {
        let (mut stripe, slot) = self.lock_id(id);
        let outcome = match (slot, terms.unlisted) {
            (None, Unlisted::Reject) => refused.or_unlisted(Outcome::UnknownInstrument),
            _ => refused,
        };
        stripe.note(outcome, terms.mark)
    }

    /// Lists the tick's instrument and records the tick under one lock, so that a snapshot holds both or neither.
    #[cold]
    fn list_and_record(&self, id: &str, admitted: &Admitted, judge: &Judge, terms: &Terms) -> Outcome {
        let listing = self.list_in(&mut self.catalogue.lock(), id);
        let refused = match listing {
            Ok((mut stripe, handle)) => return stripe.record(handle.slot, admitted, judge, terms),
            Err(ListError::BadId(_)) => Outcome::BadId,
            Err(ListError::Full { .. }) => Outcome::Full,
        };
        self.lock_id(id).0.note(refused, terms.mark)
    }

    /// Records one tick of the instrument that `handle` names: the fastest way for one tick.
    #[inline]
    pub fn record_at(&self, handle: Handle, tick: &Tick, terms: impl Into<Terms>) -> Outcome {
        let terms = terms.into();
        let judge = self.config.rules().at(terms.now);
        let admitted = match judge.judge(tick) {
            Ok(admitted) => admitted,
            Err(refused) => return self.refuse_at(handle, refused, &terms),
        };
        let (mut stripe, slot) = self.stripes.lock_handle(handle);
        match slot {
            Some(slot) => stripe.record(slot, &admitted, &judge, &terms),
            None => stripe.note(Outcome::UnknownInstrument, terms.mark),
        }
    }

    #[cold]
    fn refuse_at(&self, handle: Handle, refused: Outcome, terms: &Terms) -> Outcome {
        let (mut stripe, slot) = self.stripes.lock_handle(handle);
        let outcome = slot.map_or(refused.or_unlisted(Outcome::UnknownInstrument), |_| refused);
        stripe.note(outcome, terms.mark)
    }
}
