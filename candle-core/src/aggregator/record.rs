//! One tick at a time.

use parking_lot::MutexGuard;

use super::Aggregator;
use crate::catalogue::ListError;
use crate::instrument::Handle;
use crate::outcome::Outcome;
use crate::stripe::Stripe;
use crate::terms::{Terms, Unlisted};
use crate::tick::Tick;

impl Aggregator {
    /// Records one tick, and says what became of it. Nothing is allocated, unless the tick lists its instrument.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick, terms: impl Into<Terms>) -> Outcome {
        let terms = terms.into();
        let (mut stripe, slot) = self.lock_id(id);
        match slot {
            Some(slot) => stripe.record(slot, tick, self.config.rules(), &terms),
            None => self.record_unlisted(stripe, id, tick, &terms),
        }
    }

    /// Refuses a tick whose instrument is not listed, or lists it. A tick that is refused lists nothing.
    #[cold]
    fn record_unlisted(&self, mut stripe: MutexGuard<'_, Stripe>, id: &str, tick: &Tick, terms: &Terms) -> Outcome {
        let judge = self.config.rules().at(terms.now);
        if terms.unlisted == Unlisted::Reject {
            return stripe.note(judge.refuse_unlisted(tick), terms.mark);
        }
        if let Err(refused) = judge.judge(tick) {
            return stripe.note(refused, terms.mark);
        }
        drop(stripe);
        // Listed and recorded under one lock, so that a snapshot holds both or neither.
        let listing = self.list_in(&mut self.catalogue.lock(), id);
        let refused = match listing {
            Ok((mut stripe, handle)) => return stripe.record(handle.slot, tick, self.config.rules(), terms),
            Err(ListError::BadId(_)) => Outcome::BadId,
            Err(ListError::Full { .. }) => Outcome::Full,
        };
        self.lock_id(id).0.note(refused, terms.mark)
    }

    /// Records one tick of the instrument that `handle` names: the fastest way for one tick.
    #[inline]
    pub fn record_at(&self, handle: Handle, tick: &Tick, terms: impl Into<Terms>) -> Outcome {
        let terms = terms.into();
        let (mut stripe, slot) = self.stripes.lock_handle(handle);
        match slot {
            Some(slot) => stripe.record(slot, tick, self.config.rules(), &terms),
            None => stripe.note(self.config.rules().at(terms.now).refuse_unlisted(tick), terms.mark),
        }
    }
}
