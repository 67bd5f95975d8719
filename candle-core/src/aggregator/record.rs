//! Recording one tick.

use std::collections::BTreeMap;

use parking_lot::MutexGuard;

use super::Aggregator;
use crate::handle::Handle;
use crate::instrument_id::InstrumentId;
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
        if let Err(refused) = validator.validate(tick, self.config.window()) {
            return stripe.count_outcome(refused, context.lsn);
        }
        drop(stripe);
        self.record_listing(&mut self.catalogue.lock(), id, tick, context)
    }

    /// Lists an instrument if needed, and records a valid tick of it.
    pub(super) fn record_listing(
        &self,
        catalogue: &mut BTreeMap<InstrumentId, Handle>,
        id: &str,
        tick: &Tick,
        context: &RecordContext,
    ) -> Outcome {
        // Listed and recorded under one lock, so that a snapshot contains both or neither.
        let refused = match self.list_in(catalogue, id) {
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
