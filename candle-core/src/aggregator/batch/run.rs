//! Runs: successive ticks of one instrument, recorded under one lock after one look-up.

use super::InstrumentKey;
use crate::aggregator::Aggregator;
use crate::outcome::{Outcome, Outcomes};
use crate::record_context::RecordContext;
use crate::tick::Tick;

/// The number of ticks by which a run is recognised. Shorter runs among other ticks stay with them, so that the memory of
/// many instruments is loaded at once.
const MIN_RUN: usize = 16;

/// The largest number of ticks that are recorded under one lock, so that readers of the stripe wait for a few microseconds
/// at most.
const MAX_RUN: usize = 1024;

impl Aggregator {
    /// Records the run at the start of a batch, and returns the number of its ticks. Returns 0 if there is no long run, or
    /// if its instrument is not listed.
    #[inline]
    pub(super) fn record_run<K: InstrumentKey>(
        &self,
        batch: &[(K, Tick)],
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) -> usize {
        let window = &batch[..batch.len().min(MIN_RUN)];
        match window {
            [(first, _), (second, _), .., (last, _)] if first.is_same(*last) && first.is_same(*second) => {
                self.record_same(*first, batch, context, outcomes)
            }
            _ => 0,
        }
    }

    /// Records the first ticks of a batch as long as they are of the instrument of `first`.
    #[inline(never)]
    fn record_same<K: InstrumentKey>(
        &self,
        first: K,
        batch: &[(K, Tick)],
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) -> usize {
        let rules = self.config.rules();
        let hash = first.hash(self);
        let mut stripe = self.stripes.lock(self.stripe_index(hash));
        let Some(slot) = first.find(hash, first.guess(hash, &stripe), &stripe) else { return 0 };
        let (mut recorded, mut updated) = (0_usize, 0);
        for (key, tick) in &batch[..batch.len().min(MAX_RUN)] {
            if !key.is_again(first, slot, &stripe) {
                break;
            }
            let outcome = stripe.record_uncounted(slot, tick, rules, &context);
            recorded += 1;
            if outcome == Outcome::Updated {
                updated += 1;
            } else {
                stripe.add_outcomes(outcome, 1);
                outcomes.count(outcome);
            }
        }
        stripe.add_outcomes(Outcome::Updated, updated);
        outcomes.add(Outcome::Updated, updated);
        if let Some(last) = recorded.checked_sub(1) {
            stripe.advance_lsn(context.at_position(last).lsn);
        }
        recorded
    }
}
