//! One tick at a time.

use parking_lot::MutexGuard;

use super::Aggregator;
use crate::catalogue::ListError;
use crate::instrument::Handle;
use crate::outcome::Outcome;
use crate::record_context::{RecordContext, Unlisted};
use crate::stripe::Stripe;
use crate::tick::Tick;

impl Aggregator {
    /// Records one tick, and says what became of it. Nothing is allocated, unless the tick lists its instrument.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick, context: impl Into<RecordContext>) -> Outcome {
        let context = context.into();
        let (mut stripe, slot) = self.lock_id(id);
        match slot {
            Some(slot) => stripe.record(slot, tick, self.config.rules(), &context),
            None => self.record_unlisted(stripe, id, tick, &context),
        }
    }

    /// Refuses a tick whose instrument is not listed, or lists it. A tick that is refused lists nothing.
    #[cold]
    fn record_unlisted(
        &self,
        mut stripe: MutexGuard<'_, Stripe>,
        id: &str,
        tick: &Tick,
        context: &RecordContext,
    ) -> Outcome {
        let validator = self.config.rules().at(context.now);
        if context.unlisted == Unlisted::Reject {
            return stripe.note(validator.refuse_unlisted(tick), context.lsn);
        }
        if let Err(refused) = validator.validate(tick) {
            return stripe.note(refused, context.lsn);
        }
        drop(stripe);
        // Listed and recorded under one lock, so that a snapshot holds both or neither.
        let listing = self.list_in(&mut self.catalogue.lock(), id);
        let refused = match listing {
            Ok((mut stripe, handle)) => return stripe.record(handle.slot, tick, self.config.rules(), context),
            Err(ListError::BadId(_)) => Outcome::BadId,
            Err(ListError::Full { .. }) => Outcome::Full,
        };
        self.lock_id(id).0.note(refused, context.lsn)
    }

    /// Records one tick of the instrument that `handle` names: the fastest way for one tick.
    #[inline]
    pub fn record_at(&self, handle: Handle, tick: &Tick, context: impl Into<RecordContext>) -> Outcome {
        let context = context.into();
        let (mut stripe, slot) = self.stripes.lock_handle(handle);
        match slot {
            Some(slot) => stripe.record(slot, tick, self.config.rules(), &context),
            None => stripe.note(self.config.rules().at(context.now).refuse_unlisted(tick), context.lsn),
        }
    }
}
