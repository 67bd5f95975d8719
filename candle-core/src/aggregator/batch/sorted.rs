//! Large batches: the ticks are sorted by stripe, and each stripe is locked once for its share.

use std::ops::Range;

use super::InstrumentKey;
use crate::aggregator::Aggregator;
use crate::config::Config;
use crate::outcome::{Outcome, Outcomes};
use crate::record_context::RecordContext;
use crate::tick::Tick;

/// The number of ticks that are sorted and recorded together. Larger blocks share each lock among more ticks. Smaller
/// blocks stay in the nearest cache while they are sorted.
const BLOCK: usize = 1024;

/// Working memory for one block, on the stack so that nothing is allocated.
struct Scratch {
    hashes: [u64; BLOCK],
    /// Positions in the block, sorted by stripe. The positions of one stripe are in the order of the batch.
    order: [u16; BLOCK],
    /// The likely slot of each tick's instrument, in the order of `order`.
    guesses: [u32; BLOCK],
    /// The end of each stripe's share of `order`.
    ends: [u16; Config::MAX_STRIPES],
    /// True at the positions that wait for an instrument to be listed. Listing locks the catalogue, which comes before
    /// the stripes in the lock order.
    waiting: [bool; BLOCK],
}

impl Aggregator {
    /// Records a batch of at least `min_sorted` ticks, until fewer ticks remain. Returns the number of recorded ticks.
    #[inline(never)]
    pub(super) fn record_large<K: InstrumentKey>(
        &self,
        batch: &[(K, Tick)],
        min_sorted: usize,
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) -> usize {
        let mut scratch = Scratch {
            hashes: [0; BLOCK],
            order: [0; BLOCK],
            guesses: [0; BLOCK],
            ends: [0; Config::MAX_STRIPES],
            waiting: [false; BLOCK],
        };
        let mut start = 0;
        while batch.len() - start >= min_sorted {
            let rest = &batch[start..];
            let context = context.at_position(start);
            start += match self.record_run(rest, context, outcomes) {
                0 => self.record_block(&rest[..rest.len().min(BLOCK)], &mut scratch, context, outcomes),
                recorded => recorded,
            };
        }
        start
    }

    /// Records a block of ticks, and returns their number.
    fn record_block<K: InstrumentKey>(
        &self,
        block: &[(K, Tick)],
        scratch: &mut Scratch,
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) -> usize {
        self.sort(block, scratch);
        let mut start = 0;
        let mut any_waiting = false;
        for stripe in 0..self.config.stripes() {
            let share = start..usize::from(scratch.ends[stripe]);
            start = share.end;
            if share.is_empty() {
                continue;
            }
            let recorded = share.start + self.record_share(stripe, block, scratch, share.clone(), context, outcomes);
            for position in &scratch.order[recorded..share.end] {
                scratch.waiting[usize::from(*position)] = true;
                any_waiting = true;
            }
        }
        if any_waiting {
            let positions = 0..block.len();
            self.record_waiting(
                block,
                positions.filter(|n| std::mem::take(&mut scratch.waiting[*n])),
                context,
                outcomes,
            );
        }
        block.len()
    }

    /// Hashes the keys of a block and sorts the positions by stripe. A counting sort, which is stable.
    fn sort<K: InstrumentKey>(&self, block: &[(K, Tick)], scratch: &mut Scratch) {
        let stripes = self.config.stripes();
        let ends = &mut scratch.ends[..stripes];
        ends.fill(0);
        for ((key, _), hash) in block.iter().zip(&mut scratch.hashes) {
            *hash = key.hash(self);
            ends[self.stripe_index(*hash)] += 1;
        }
        let mut sum = 0;
        for end in &mut *ends {
            // `end` becomes the start of the share here. The next loop moves it to the end of the share.
            (*end, sum) = (sum, sum + *end);
        }
        for (position, hash) in (0..).zip(&scratch.hashes[..block.len()]) {
            let end = &mut ends[self.stripe_index(*hash)];
            scratch.order[usize::from(*end)] = position;
            *end += 1;
        }
    }

    /// Records the ticks of one stripe under one lock, up to the first tick whose instrument must be listed. Returns the
    /// number of recorded ticks.
    fn record_share<K: InstrumentKey>(
        &self,
        stripe: usize,
        block: &[(K, Tick)],
        scratch: &mut Scratch,
        share: Range<usize>,
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) -> usize {
        let rules = self.config.rules();
        let order = &scratch.order[share.clone()];
        let guesses = &mut scratch.guesses[share];
        let mut locked = self.stripes.lock(stripe);
        // All look-ups come before all reads of slots. No step depends on the one before it, so the processor loads the
        // memory of many instruments at once.
        for (guess, position) in guesses.iter_mut().zip(order) {
            let position = usize::from(*position);
            *guess = block[position].0.guess(scratch.hashes[position], &locked);
        }
        std::hint::black_box(guesses.iter().map(|slot| locked.prefetch(*slot)).fold(0, u64::wrapping_add));
        let (mut recorded, mut updated) = (0, 0);
        for (guess, position) in guesses.iter().zip(order) {
            let position = usize::from(*position);
            let (key, tick) = &block[position];
            let outcome = match key.find(scratch.hashes[position], *guess, &locked) {
                Some(slot) => locked.record_uncounted(slot, tick, rules, &context),
                None => match self.refuse_in_batch(tick, &context) {
                    Some(refused) => refused,
                    None => break,
                },
            };
            recorded += 1;
            if outcome == Outcome::Updated {
                updated += 1;
            } else {
                locked.add_outcomes(outcome, 1);
                outcomes.count(outcome);
            }
        }
        locked.add_outcomes(Outcome::Updated, updated);
        outcomes.add(Outcome::Updated, updated);
        if let Some(last) = order[..recorded].last() {
            // The lsn of the last tick covers all of them: no other thread reads the lsn before the lock is released.
            locked.advance_lsn(context.at_position(usize::from(*last)).lsn);
        }
        recorded
    }
}
