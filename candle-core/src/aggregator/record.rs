//! Recording one tick.

use parking_lot::MutexGuard;

use super::Aggregator;
use crate::handle::Handle;
use crate::list_error::ListError;
use crate::outcome::Outcome;
use crate::record_context::{RecordContext, Unlisted};
use crate::stripe::Stripe;
use crate::tick::Tick;

impl Aggregator {
    /// Records one tick and returns its outcome. Allocates nothing, unless the tick lists its instrument.
    #[expect(clippy::inline_always, reason = "a call takes a tenth of the time of a tick")]
    #[inline(always)]
    pub fn record(&self, id: &str, tick: &Tick, context: impl Into<RecordContext>) -> Outcome {
        let context = context.into();
        let (mut stripe, slot) = self.lock_id(id);
        match slot {
            Some(slot) => stripe.record(slot, tick, self.config.rules(), &context),
            None => self.record_unlisted(stripe, id, tick, &context),
        }
    }

    /// Refuses the tick of an unlisted instrument, or lists the instrument. A refused tick lists nothing.
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
            return stripe.count_outcome(validator.refuse_unlisted(tick), context.lsn);
        }
        if let Err(refused) = validator.validate(tick) {
            return stripe.count_outcome(refused, context.lsn);
        }
        drop(stripe);
        // Listed and recorded under one lock, so that a snapshot contains both or neither.
        let listing = self.list_in(&mut self.catalogue.lock(), id);
        let refused = match listing {
            Ok((mut stripe, handle)) => return stripe.record(handle.slot, tick, self.config.rules(), context),
            Err(ListError::InvalidId(_)) => Outcome::BadId,
            Err(ListError::Full { .. }) => Outcome::Full,
        };
        self.lock_id(id).0.count_outcome(refused, context.lsn)
    }

    /// Records one tick of the instrument of `handle` and returns its outcome. Saves the look-up of the id.
    #[expect(clippy::inline_always, reason = "a call takes a tenth of the time of a tick")]
    #[inline(always)]
    pub fn record_at(&self, handle: Handle, tick: &Tick, context: impl Into<RecordContext>) -> Outcome {
        let context = context.into();
        let (mut stripe, slot) = self.stripes.lock_handle(handle);
        match slot {
            Some(slot) => stripe.record(slot, tick, self.config.rules(), &context),
            None => stripe.count_outcome(self.config.rules().at(context.now).refuse_unlisted(tick), context.lsn),
        }
    }
}
