//! Many ticks in one call: sorted by stripe, looked up together, then folded.

use super::Aggregator;
use crate::config::Config;
use crate::outcome::Outcomes;
use crate::terms::{Terms, Unlisted};
use crate::tick::Tick;

/// Ticks that are sorted and recorded together: larger blocks share each lock among more ticks, smaller ones stay in
/// the nearest cache while they are sorted.
const BLOCK: usize = 1024;

/// The order of a block's ticks by stripe, on the stack so that nothing is allocated.
struct Scratch {
    hashes: [u64; BLOCK],
    /// Positions in the block, those of one stripe together and in the order of the batch.
    order: [u16; BLOCK],
    /// The slot of each instrument in that order, if it is listed.
    slots: [Option<u32>; BLOCK],
    /// Where each stripe's share of `order` ends.
    ends: [u16; Config::MAX_STRIPES],
    /// What became of each stripe's share.
    shares: [Share; Config::MAX_STRIPES],
}

/// What became of one stripe's share of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Recorded,
    /// Nothing of it is recorded: some instrument must be listed first, which takes locks that come before a stripe's.
    Waits,
}

impl Aggregator {
    /// Records many ticks in one call, and returns how many had each outcome. The result is that of recording them one
    /// by one in this order; the cost is a fraction of it, because the memory of many instruments is awaited at once
    /// and not in turn. Nothing is allocated, unless a tick lists its instrument.
    ///
    /// All are recorded under the same terms. Where `now` follows the ticks themselves, cut batches where its minute
    /// turns: within one minute it makes no difference to a candle which of its moments is `now`.
    ///
    /// ```
    /// use candle_core::{Aggregator, Tick, Timestamp};
    ///
    /// let aggregator = Aggregator::default();
    /// aggregator.list("BTC", None)?;
    /// let now = Timestamp::EPOCH;
    /// let batch = [("BTC", Tick::new(now, 10.0)), ("ETH", Tick::new(now, 2.0)), ("BTC", Tick::new(now, 11.0))];
    /// let outcomes = aggregator.record_batch(&batch, now);
    /// assert_eq!((outcomes.accepted(), outcomes.rejected()), (2, 1));
    /// # Ok::<(), candle_core::ListError>(())
    /// ```
    pub fn record_batch(&self, batch: &[(&str, Tick)], terms: impl Into<Terms>) -> Outcomes {
        let terms = terms.into();
        let mut outcomes = Outcomes::default();
        if batch.len() < 2 * self.config.stripes() {
            // Hardly a second tick for any stripe: to sort them costs more than it saves.
            for (place, (id, tick)) in batch.iter().enumerate() {
                outcomes.count(self.record(id, tick, terms.further(place)));
            }
            return outcomes;
        }
        let mut scratch = Scratch {
            hashes: [0; BLOCK],
            order: [0; BLOCK],
            slots: [None; BLOCK],
            ends: [0; Config::MAX_STRIPES],
            shares: [Share::Recorded; Config::MAX_STRIPES],
        };
        for (number, block) in batch.chunks(BLOCK).enumerate() {
            self.record_block(block, &mut scratch, terms.further(number * BLOCK), &mut outcomes);
        }
        outcomes
    }

    fn record_block(&self, block: &[(&str, Tick)], scratch: &mut Scratch, terms: Terms, outcomes: &mut Outcomes) {
        self.sort(block, scratch);
        let mut start = 0;
        let mut waiting = false;
        for stripe in 0..self.config.stripes() {
            let end = usize::from(scratch.ends[stripe]);
            if start < end {
                let share = self.record_share(stripe, block, scratch, start..end, terms, outcomes);
                scratch.shares[stripe] = share;
                waiting |= share == Share::Waits;
            }
            start = end;
        }
        if waiting {
            // In the order of the batch, so that the same ones are listed where there is not room for all.
            for (place, (id, tick)) in block.iter().enumerate() {
                if scratch.shares[self.stripe_of(scratch.hashes[place])] == Share::Waits {
                    outcomes.count(self.record(id, tick, terms.further(place)));
                }
            }
        }
    }

    /// Hashes a block's ids and sorts their positions by stripe; a counting sort, which keeps the order within each.
    fn sort(&self, block: &[(&str, Tick)], scratch: &mut Scratch) {
        let stripes = self.config.stripes();
        let ends = &mut scratch.ends[..stripes];
        ends.fill(0);
        for ((id, _), hash) in block.iter().zip(&mut scratch.hashes) {
            *hash = self.hash(id);
            ends[self.stripe_of(*hash)] += 1;
        }
        let mut sum = 0;
        for end in &mut *ends {
            // Here `end` becomes the start of the share, and grows to its end while positions are dealt out.
            (*end, sum) = (sum, sum + *end);
        }
        for (position, hash) in (0..).zip(&scratch.hashes[..block.len()]) {
            let end = &mut ends[self.stripe_of(*hash)];
            scratch.order[usize::from(*end)] = position;
            *end += 1;
        }
    }

    /// Records one stripe's share of a block under one lock, or nothing of it.
    fn record_share(
        &self,
        stripe: usize,
        block: &[(&str, Tick)],
        scratch: &mut Scratch,
        share: std::ops::Range<usize>,
        terms: Terms,
        outcomes: &mut Outcomes,
    ) -> Share {
        let rules = self.config.rules();
        let order = &scratch.order[share.clone()];
        let slots = &mut scratch.slots[share];
        let mut locked = self.stripes.lock(stripe);
        // Look-ups first, then their lines: neither waits for the one before, so that the processor awaits the memory of
        // many at once.
        for (slot, position) in slots.iter_mut().zip(order) {
            *slot = locked.guess(scratch.hashes[usize::from(*position)]);
        }
        std::hint::black_box(slots.iter().flatten().map(|slot| locked.touch(*slot)).fold(0, u64::wrapping_add));
        let mut unlisted = false;
        for (slot, position) in slots.iter_mut().zip(order) {
            let position = usize::from(*position);
            let id = block[position].0.as_bytes();
            if slot.is_some_and(|slot| !locked.is_at(slot, id)) {
                *slot = locked.find(scratch.hashes[position], id);
            }
            unlisted |= slot.is_none();
        }
        if unlisted && terms.unlisted == Unlisted::List {
            return Share::Waits;
        }
        // Nobody sees the mark before the lock is gone, so all have that of the last.
        let terms = terms.further(order.last().map_or(0, |last| usize::from(*last)));
        for (slot, position) in slots.iter().zip(order) {
            let tick = &block[usize::from(*position)].1;
            outcomes.count(match *slot {
                Some(slot) => locked.record(slot, tick, rules, &terms),
                None => locked.note(rules.at(terms.now).refuse_unlisted(tick), terms.mark),
            });
        }
        Share::Recorded
    }
}
