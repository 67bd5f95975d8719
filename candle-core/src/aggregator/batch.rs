//! Many ticks in one call: sorted by stripe, looked up together, then folded.

use std::ops::Range;

use super::{Aggregator, STRIPE_SHIFT};
use crate::config::Config;
use crate::instrument::Handle;
use crate::outcome::{Outcome, Outcomes};
use crate::record_context::{RecordContext, Unlisted};
use crate::stripe::Stripe;
use crate::tick::Tick;

/// Ticks that are sorted and recorded together: larger blocks share each lock among more ticks, smaller ones stay in
/// the nearest cache while they are sorted.
const BLOCK: usize = 1024;

/// The order of a block's ticks by stripe, on the stack so that nothing is allocated.
struct Scratch {
    hashes: [u64; BLOCK],
    /// Positions in the block, those of one stripe together and in the order of the batch.
    order: [u16; BLOCK],
    /// Where each tick's instrument most likely is, in that order.
    guesses: [u32; BLOCK],
    /// Where each stripe's share of `order` ends.
    ends: [u16; Config::MAX_STRIPES],
    /// The positions that are not recorded yet, because some instrument must be listed first: that takes locks that come
    /// before a stripe's.
    waiting: [bool; BLOCK],
}

/// How the ticks of a batch name their instruments.
trait Name: Copy {
    /// A number whose stripe is that of the instrument.
    fn hash(self, aggregator: &Aggregator) -> u64;

    /// Where the instrument most likely is, found without waiting for its lines.
    fn guess(self, hash: u64, stripe: &Stripe) -> u32;

    /// The slot of the instrument, if it is listed.
    fn find(self, hash: u64, guess: u32, stripe: &Stripe) -> Option<u32>;

    /// Records a tick on its own.
    fn record(self, aggregator: &Aggregator, tick: &Tick, context: RecordContext) -> Outcome;
}

impl Name for &str {
    #[inline]
    fn hash(self, aggregator: &Aggregator) -> u64 {
        aggregator.hash(self)
    }

    #[inline]
    fn guess(self, hash: u64, stripe: &Stripe) -> u32 {
        stripe.guess(hash)
    }

    #[inline]
    fn find(self, hash: u64, guess: u32, stripe: &Stripe) -> Option<u32> {
        let id = self.as_bytes();
        if stripe.is_at(guess, id) { Some(guess) } else { stripe.search(hash, id) }
    }

    #[inline]
    fn record(self, aggregator: &Aggregator, tick: &Tick, context: RecordContext) -> Outcome {
        aggregator.record(self, tick, context)
    }
}

impl Name for Handle {
    #[inline]
    fn hash(self, _: &Aggregator) -> u64 {
        u64::from(self.stripe) << STRIPE_SHIFT
    }

    #[inline]
    fn guess(self, _: u64, _: &Stripe) -> u32 {
        self.slot
    }

    #[inline]
    fn find(self, _: u64, _: u32, stripe: &Stripe) -> Option<u32> {
        stripe.check(self.slot, self.generation)
    }

    #[inline]
    fn record(self, aggregator: &Aggregator, tick: &Tick, context: RecordContext) -> Outcome {
        aggregator.record_at(self, tick, context)
    }
}

impl Aggregator {
    /// Records many ticks in one call, and returns how many had each outcome. The result is that of recording them one
    /// by one in this order; the cost is a fraction of it, because the memory of many instruments is awaited at once
    /// and not in turn. Nothing is allocated, unless a tick lists its instrument.
    ///
    /// All are recorded under the same context. Where `now` follows the ticks themselves, cut batches where its minute
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
    pub fn record_batch(&self, batch: &[(&str, Tick)], context: impl Into<RecordContext>) -> Outcomes {
        self.record_named(batch, context.into())
    }

    /// [`record_batch`](Self::record_batch), of the instruments that handles name: for a caller that has resolved its
    /// ids once, the fastest way of all. An instrument that is not listed is never listed by this.
    ///
    /// ```
    /// use candle_core::{Aggregator, Outcome, Tick, Timestamp};
    ///
    /// let aggregator = Aggregator::default();
    /// let (btc, eth) = (aggregator.list("BTC", None)?, aggregator.list("ETH", None)?);
    /// aggregator.delist("ETH");
    /// let now = Timestamp::EPOCH;
    /// let outcomes = aggregator.record_batch_at(&[(btc, Tick::new(now, 10.0)), (eth, Tick::new(now, 2.0))], now);
    /// assert_eq!((outcomes.of(Outcome::Opened), outcomes.of(Outcome::UnknownInstrument)), (1, 1));
    /// # Ok::<(), candle_core::ListError>(())
    /// ```
    pub fn record_batch_at(&self, batch: &[(Handle, Tick)], context: impl Into<RecordContext>) -> Outcomes {
        self.record_named(batch, RecordContext { unlisted: Unlisted::Reject, ..context.into() })
    }

    fn record_named<N: Name>(&self, batch: &[(N, Tick)], context: RecordContext) -> Outcomes {
        let mut outcomes = Outcomes::default();
        if batch.len() < 2 * self.config.stripes() {
            // Hardly a second tick for any stripe: to sort them costs more than it saves.
            for (place, (name, tick)) in batch.iter().enumerate() {
                outcomes.count(name.record(self, tick, context.further(place)));
            }
            return outcomes;
        }
        let mut scratch = Scratch {
            hashes: [0; BLOCK],
            order: [0; BLOCK],
            guesses: [0; BLOCK],
            ends: [0; Config::MAX_STRIPES],
            waiting: [false; BLOCK],
        };
        for (number, block) in batch.chunks(BLOCK).enumerate() {
            self.record_block(block, &mut scratch, context.further(number * BLOCK), &mut outcomes);
        }
        outcomes
    }

    fn record_block<N: Name>(
        &self,
        block: &[(N, Tick)],
        scratch: &mut Scratch,
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) {
        self.sort(block, scratch);
        let mut start = 0;
        let mut waiting = false;
        for stripe in 0..self.config.stripes() {
            let share = start..usize::from(scratch.ends[stripe]);
            start = share.end;
            if share.is_empty() {
                continue;
            }
            let recorded = share.start + self.record_share(stripe, block, scratch, share.clone(), context, outcomes);
            for position in &scratch.order[recorded..share.end] {
                scratch.waiting[usize::from(*position)] = true;
                waiting = true;
            }
        }
        if waiting {
            // In the order of the batch, so that the same ones are listed where there is not room for all.
            for (place, ((name, tick), waits)) in block.iter().zip(&mut scratch.waiting).enumerate() {
                if std::mem::take(waits) {
                    outcomes.count(name.record(self, tick, context.further(place)));
                }
            }
        }
    }

    /// Hashes a block's names and sorts their positions by stripe; a counting sort, which keeps the order within each.
    fn sort<N: Name>(&self, block: &[(N, Tick)], scratch: &mut Scratch) {
        let stripes = self.config.stripes();
        let ends = &mut scratch.ends[..stripes];
        ends.fill(0);
        for ((name, _), hash) in block.iter().zip(&mut scratch.hashes) {
            *hash = name.hash(self);
            ends[self.stripe_index(*hash)] += 1;
        }
        let mut sum = 0;
        for end in &mut *ends {
            // Here `end` becomes the start of the share, and grows to its end while positions are dealt out.
            (*end, sum) = (sum, sum + *end);
        }
        for (position, hash) in (0..).zip(&scratch.hashes[..block.len()]) {
            let end = &mut ends[self.stripe_index(*hash)];
            scratch.order[usize::from(*end)] = position;
            *end += 1;
        }
    }

    /// Records one stripe's share of a block under one lock, up to the first tick whose instrument must be listed, and
    /// returns how many that were.
    fn record_share<N: Name>(
        &self,
        stripe: usize,
        block: &[(N, Tick)],
        scratch: &mut Scratch,
        share: Range<usize>,
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) -> usize {
        let rules = self.config.rules();
        let order = &scratch.order[share.clone()];
        let guesses = &mut scratch.guesses[share];
        let mut locked = self.stripes.lock(stripe);
        // Look-ups first, then their lines: neither waits for the one before, so that the processor awaits the memory of
        // many at once.
        for (guess, position) in guesses.iter_mut().zip(order) {
            let position = usize::from(*position);
            *guess = block[position].0.guess(scratch.hashes[position], &locked);
        }
        std::hint::black_box(guesses.iter().map(|slot| locked.touch(*slot)).fold(0, u64::wrapping_add));
        let (mut recorded, mut updated) = (0, 0);
        for (guess, position) in guesses.iter().zip(order) {
            let position = usize::from(*position);
            let (name, tick) = &block[position];
            let outcome = match name.find(scratch.hashes[position], *guess, &locked) {
                Some(slot) => locked.fold(slot, tick, rules, &context),
                None => match (context.unlisted, rules.at(context.now).validate(tick)) {
                    (Unlisted::Reject, _) => rules.at(context.now).refuse_unlisted(tick),
                    (Unlisted::List, Err(refused)) => refused,
                    (Unlisted::List, Ok(_)) => break,
                },
            };
            recorded += 1;
            if outcome == Outcome::Updated {
                updated += 1;
            } else {
                locked.count(outcome, 1);
                outcomes.count(outcome);
            }
        }
        locked.count(Outcome::Updated, updated);
        outcomes.add(Outcome::Updated, updated);
        if let Some(last) = order[..recorded].last() {
            // Nobody sees the lsn before the lock is gone, so all have that of the last.
            locked.advance_lsn(context.further(usize::from(*last)).lsn);
        }
        recorded
    }
}
