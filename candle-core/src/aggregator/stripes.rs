//! The stripes of an aggregator, each behind its own lock.

use parking_lot::{Mutex, MutexGuard};

use crate::handle::Handle;
use crate::leaders::{Counters, Demotion, Promotion, Rank};
use crate::stripe::Stripe;
use crate::window::Window;

/// All stripes; their number is a power of two.
pub(super) struct Stripes(Box<[LockedStripe]>);

/// A stripe, aligned to two cache lines. Processors fetch lines in pairs, so neighbouring locks do not slow each other.
#[repr(align(128))]
struct LockedStripe(Mutex<Stripe>);

impl Stripes {
    /// Bytes of one empty stripe.
    pub(super) const STRIPE_BYTES: usize = size_of::<LockedStripe>();

    pub(super) fn new(stripes: usize, window: Window) -> Self {
        Self((0..stripes).map(|_| LockedStripe(Mutex::new(Stripe::new(window)))).collect())
    }

    /// Returns the number of the stripe that the low bits of `bits` select. Every value selects a stripe, also the stripe
    /// number in a handle of an aggregator with more stripes.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "only the low bits are used")]
    pub(super) fn index(&self, bits: u64) -> usize {
        bits as usize & (self.0.len() - 1)
    }

    #[inline]
    pub(super) fn lock(&self, stripe: usize) -> MutexGuard<'_, Stripe> {
        self.0[stripe].0.lock()
    }

    /// Locks a stripe unless another thread has locked it.
    #[inline]
    pub(super) fn try_lock(&self, stripe: usize) -> Option<MutexGuard<'_, Stripe>> {
        self.0[stripe].0.try_lock()
    }

    /// Locks the stripe of a handle, and returns the slot if the instrument of the handle is still listed.
    #[inline]
    pub(super) fn lock_handle(&self, handle: Handle) -> (MutexGuard<'_, Stripe>, Option<u32>) {
        let stripe = self.lock(self.index(u64::from(handle.stripe)));
        let slot = stripe.resolve(handle.slot, handle.generation);
        (stripe, slot)
    }

    /// Locks one stripe after another.
    pub(super) fn lock_each(&self) -> impl Iterator<Item = (u16, MutexGuard<'_, Stripe>)> {
        (0..).zip(self.0.iter().map(|stripe| stripe.0.lock()))
    }
}

/// The counters live in the stripes, and each stripe has a copy of the floor. All of them are read and written under the
/// lock of the stripe.
impl Counters for &Stripes {
    fn rank(&mut self, handle: Handle) -> Option<Rank> {
        let (stripe, slot) = self.lock_handle(handle);
        slot.map(|slot| stripe.rank(slot))
    }

    fn promote(&mut self, handle: Handle, floor: Option<&Rank>) -> Promotion {
        let (mut stripe, slot) = self.lock_handle(handle);
        match slot {
            Some(slot) if !stripe.is_leader(slot) && floor.is_none_or(|floor| stripe.rank(slot) < *floor) => {
                stripe.set_leader(slot);
                Promotion::Promoted
            }
            _ => Promotion::Refused,
        }
    }

    fn demote(&mut self, handle: Handle, floor: &Rank) -> Demotion {
        let (mut stripe, slot) = self.lock_handle(handle);
        match slot {
            Some(slot) if stripe.rank(slot) < *floor => Demotion::Refused,
            Some(slot) => {
                stripe.clear_leader(slot);
                Demotion::Demoted
            }
            None => Demotion::Demoted,
        }
    }

    fn set_floor(&mut self, views: u64) {
        self.lock_each().for_each(|(_, mut stripe)| stripe.set_floor(views));
    }

    fn for_each_outsider(&mut self, each: &mut dyn FnMut(Rank, Handle)) {
        for (number, stripe) in self.lock_each() {
            for slot in stripe.listed() {
                if stripe.views(slot) > 0 && !stripe.is_leader(slot) {
                    each(stripe.rank(slot), Handle { stripe: number, slot, generation: stripe.generation(slot) });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::aggregator::Aggregator;
    use crate::config::Config;
    use crate::instrument_id::InstrumentId;

    use super::*;

    #[test]
    fn a_rank_is_compared_again_under_the_lock_of_the_stripe() {
        let aggregator = Aggregator::new(Config::default().with_stripes(1));
        let [rising, other] = ["b", "c"].map(|id| aggregator.list(id, None).unwrap());
        let mut stripes = &aggregator.stripes;
        let rank = |views, id: &str| Rank { views, id: InstrumentId::new(id).unwrap() };
        stripes.set_floor(u64::MAX);
        (0..5).for_each(|_| assert!(aggregator.count_view("b").is_some()));

        // As many views as the floor: the id decides.
        assert_eq!(stripes.promote(rising, Some(&rank(5, "a"))), Promotion::Refused);
        assert_eq!(stripes.promote(rising, Some(&rank(5, "c"))), Promotion::Promoted);
        assert_eq!(stripes.promote(rising, Some(&rank(5, "c"))), Promotion::Refused, "a leader already");

        // Ranked after the floor at the cut, and before the floor since.
        assert_eq!(stripes.demote(rising, &rank(4, "x")), Demotion::Refused);
        assert_eq!(stripes.demote(rising, &rank(6, "x")), Demotion::Demoted);
        assert_eq!(stripes.promote(rising, None), Promotion::Promoted);

        aggregator.delist("c");
        assert_eq!(stripes.promote(other, None), Promotion::Refused);
        assert_eq!((stripes.demote(other, &rank(0, "x")), stripes.rank(other)), (Demotion::Demoted, None));
    }
}
