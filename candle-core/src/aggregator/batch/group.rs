//! Small batches: the stripes of a few ticks are locked together.
//!
//! A lock keeps the processor from loading the memory of the next tick in advance. With all locks taken first, the memory of
//! all instruments is loaded at once.

use parking_lot::MutexGuard;

use super::InstrumentKey;
use crate::aggregator::Aggregator;
use crate::outcome::{Outcome, Outcomes};
use crate::record_context::RecordContext;
use crate::stripe::Stripe;
use crate::tick::Tick;

/// The largest number of ticks whose stripes are locked together. With 32, a tick takes as long, and other threads are kept
/// from more stripes.
const GROUP: usize = 16;

/// The number of places in which a locked stripe is looked for, by the low bits of its number. Two stripes with one place
/// are never locked together.
const PLACES: usize = 64;

/// The stripes that are locked for one group.
struct Locks<'a> {
    stripes: [Option<MutexGuard<'a, Stripe>>; GROUP],
    /// The number of each locked stripe.
    numbers: [u16; GROUP],
    len: u8,
    /// The position in `stripes` plus one, or 0.
    places: [u8; PLACES],
}

impl<'a> Locks<'a> {
    const fn new() -> Self {
        Self { stripes: [const { None }; GROUP], numbers: [0; GROUP], len: 0, places: [0; PLACES] }
    }

    /// Returns the position of a stripe among the locked ones, and locks the stripe if needed. Waits for the first lock
    /// only. Returns `None` if another thread has the lock, or if another stripe has the place.
    #[expect(clippy::inline_always, reason = "a call takes a tenth of the time of a tick by handle")]
    #[inline(always)]
    fn lock(&mut self, number: usize, aggregator: &'a Aggregator) -> Option<u8> {
        #[expect(clippy::cast_possible_truncation, reason = "there are at most 1024 stripes")]
        let short = number as u16;
        let place = &mut self.places[number % PLACES];
        if let Some(position) = place.checked_sub(1) {
            return (self.numbers[usize::from(position)] == short).then_some(position);
        }
        let stripe = match self.len {
            0 => aggregator.stripes.lock(number),
            _ => aggregator.stripes.try_lock(number)?,
        };
        let position = self.len;
        self.stripes[usize::from(position)] = Some(stripe);
        self.numbers[usize::from(position)] = short;
        self.len += 1;
        *place = self.len;
        Some(position)
    }
}

impl Aggregator {
    /// Records a batch that is too small to be sorted.
    #[inline(never)]
    pub(super) fn record_small<K: InstrumentKey>(
        &self,
        batch: &[(K, Tick)],
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) {
        let mut start = 0;
        while start < batch.len() {
            let rest = &batch[start..];
            let context = context.at_position(start);
            start += match self.record_run(rest, context, outcomes) {
                0 if rest.len() < K::MIN_GROUP => self.record_each(rest, context, outcomes),
                0 => self.record_group(rest, context, outcomes),
                recorded => recorded,
            };
        }
    }

    /// Records ticks one by one, and returns their number.
    #[inline]
    fn record_each<K: InstrumentKey>(
        &self,
        batch: &[(K, Tick)],
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) -> usize {
        for (position, (key, tick)) in batch.iter().enumerate() {
            outcomes.count(key.record(self, tick, context.at_position(position)));
        }
        batch.len()
    }

    /// Records the first ticks of a batch under the locks of all their stripes: at most [`GROUP`] ticks, at least one.
    /// Returns their number.
    #[inline]
    fn record_group<K: InstrumentKey>(
        &self,
        batch: &[(K, Tick)],
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) -> usize {
        // All look-ups come before all reads of slots, as in a sorted batch.
        let mut hashes = [0; GROUP];
        for (hash, (key, _)) in hashes.iter_mut().zip(batch) {
            *hash = key.hash(self);
        }
        let mut locks = Locks::new();
        let mut positions = [0; GROUP];
        let mut len = 0;
        for (position, hash) in positions.iter_mut().zip(&hashes[..batch.len().min(GROUP)]) {
            let Some(locked) = locks.lock(self.stripe_index(*hash), self) else { break };
            *position = locked;
            len += 1;
        }
        let ticks = &batch[..len];
        let mut guesses = [0; GROUP];
        for (n, (key, _)) in ticks.iter().enumerate() {
            if let Some(stripe) = &locks.stripes[usize::from(positions[n])] {
                guesses[n] = key.guess(hashes[n], stripe);
            }
        }
        let mut touched = 0;
        for n in 0..len {
            if let Some(stripe) = &locks.stripes[usize::from(positions[n])] {
                touched ^= stripe.prefetch(guesses[n]);
            }
        }
        std::hint::black_box(touched);
        // Bit `n` is set if tick `n` waits for an instrument to be listed. Further ticks of its stripe wait as well: a snapshot
        // in between must contain every tick up to the lsn of the stripe.
        let (mut waiting, mut waiting_stripes) = (0_u32, 0_u32);
        let mut updated = 0;
        for (n, (key, tick)) in ticks.iter().enumerate() {
            let Some(stripe) = &mut locks.stripes[usize::from(positions[n])] else { continue };
            let context = context.at_position(n);
            if waiting_stripes >> positions[n] & 1 == 1 {
                waiting |= 1 << n;
                continue;
            }
            let outcome = if let Some(slot) = key.find(hashes[n], guesses[n], stripe) {
                stripe.record(slot, tick, self.config.rules(), &context)
            } else if let Some(refused) = self.refuse_in_batch(tick, &context) {
                stripe.count_outcome(refused, context.lsn)
            } else {
                waiting |= 1 << n;
                waiting_stripes |= 1 << positions[n];
                continue;
            };
            if outcome == Outcome::Updated {
                updated += 1;
            } else {
                outcomes.count(outcome);
            }
        }
        outcomes.add(Outcome::Updated, updated);
        drop(locks);
        if waiting != 0 {
            self.record_waiting(ticks, (0..len).filter(|n| waiting >> n & 1 == 1), context, outcomes);
        }
        len
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::config::Config;
    use crate::time::Timestamp;

    fn stripe_of(aggregator: &Aggregator, id: &str) -> usize {
        aggregator.stripe_index(aggregator.hash(id))
    }

    /// Returns an aggregator with listed instruments, and two of them in different stripes.
    fn listed(stripes: usize) -> (Aggregator, Vec<String>, [String; 2]) {
        let aggregator = Aggregator::new(Config::default().with_stripes(stripes).with_seed(1));
        let ids: Vec<_> = (0..100).map(|number| format!("i{number}")).collect();
        ids.iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
        let other =
            ids.iter().find(|id| stripe_of(&aggregator, id) != stripe_of(&aggregator, &ids[0])).unwrap().clone();
        let pair = [ids[0].clone(), other];
        (aggregator, ids, pair)
    }

    #[test]
    fn a_group_that_waits_for_a_stripe_has_recorded_the_ticks_before_and_holds_no_lock() {
        let (aggregator, _, [free, held]) = listed(2);
        let tick = |price| Tick::new(Timestamp::EPOCH, price);
        let batch: Vec<_> = [(&free, 1.0), (&free, 2.0), (&held, 3.0), (&free, 4.0), (&held, 5.0)]
            .map(|(id, price)| (id.as_str(), tick(price)))
            .to_vec();
        let close = |id| aggregator.history(id).and_then(|history| Some(history.ring.newest()?.close()));
        let guard = aggregator.stripes.lock(stripe_of(&aggregator, &held));
        let outcomes = thread::scope(|scope| {
            let batch = scope.spawn(|| aggregator.record_batch(&batch, Timestamp::EPOCH));
            while close(&free) != Some(2.0) {
                thread::yield_now();
            }
            drop(guard);
            batch.join().unwrap()
        });
        assert_eq!((outcomes.of(Outcome::Opened), outcomes.of(Outcome::Updated)), (2, 3));
        assert_eq!((close(&free), close(&held)), (Some(4.0), Some(5.0)));
    }

    #[test]
    fn stripes_with_one_place_are_locked_one_after_the_other() {
        let (aggregator, ids, _) = listed(1024);
        let place = |id: &String| stripe_of(&aggregator, id) % PLACES;
        let collision = ids
            .iter()
            .flat_map(|a| ids.iter().map(move |b| [a, b]))
            .find(|[a, b]| place(a) == place(b) && stripe_of(&aggregator, a) != stripe_of(&aggregator, b));
        let [a, b] = collision.unwrap();
        let mut locks = Locks::new();
        assert_eq!(locks.lock(stripe_of(&aggregator, a), &aggregator), Some(0));
        assert_eq!(locks.lock(stripe_of(&aggregator, a), &aggregator), Some(0));
        assert_eq!(locks.lock(stripe_of(&aggregator, b), &aggregator), None);
        drop(locks);
        let tick = Tick::new(Timestamp::EPOCH, 1.0);
        let batch: Vec<_> = [a, b, a, b, b].map(|id| (id.as_str(), tick)).to_vec();
        assert_eq!(aggregator.record_batch(&batch, Timestamp::EPOCH).accepted(), 5);
    }
}
