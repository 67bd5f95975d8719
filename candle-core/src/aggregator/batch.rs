//! Recording many ticks in one call: sorted by stripe, looked up together, then recorded.

use std::ops::Range;

use super::{Aggregator, STRIPE_SHIFT};
use crate::config::Config;
use crate::handle::Handle;
use crate::outcome::{Outcome, Outcomes};
use crate::record_context::{RecordContext, Unlisted};
use crate::stripe::Stripe;
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

/// The two ways in which a batch names its instruments: by id and by handle.
trait InstrumentKey: Copy {
    /// Returns a hash whose stripe is that of the instrument.
    fn hash(self, aggregator: &Aggregator) -> u64;

    /// Returns the likely slot of the instrument without reading the slot.
    fn guess(self, hash: u64, stripe: &Stripe) -> u32;

    /// Returns the slot of the instrument, if it is listed.
    fn find(self, hash: u64, guess: u32, stripe: &Stripe) -> Option<u32>;

    /// Records one tick by itself.
    fn record(self, aggregator: &Aggregator, tick: &Tick, context: RecordContext) -> Outcome;
}

impl InstrumentKey for &str {
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
        if stripe.has_id(guess, id) { Some(guess) } else { stripe.search(hash, id) }
    }

    #[inline]
    fn record(self, aggregator: &Aggregator, tick: &Tick, context: RecordContext) -> Outcome {
        aggregator.record(self, tick, context)
    }
}

impl InstrumentKey for Handle {
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
        stripe.resolve(self.slot, self.generation)
    }

    #[inline]
    fn record(self, aggregator: &Aggregator, tick: &Tick, context: RecordContext) -> Outcome {
        aggregator.record_at(self, tick, context)
    }
}

impl Aggregator {
    /// Records many ticks and returns the number of ticks by outcome. The result is that of recording the ticks one by one
    /// in this order.
    ///
    /// A batch is faster than single ticks, because the processor loads the memory of many instruments at once. Nothing is
    /// allocated, unless a tick lists its instrument.
    ///
    /// All ticks have the same context. If `now` follows the times of the ticks, cut batches where the minute changes.
    /// Within one minute, the value of `now` changes no candle.
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
        self.record_keyed(batch, context.into())
    }

    /// Records many ticks of the instruments of handles: the fastest way to record ticks. Lists no instrument, also with
    /// [`Unlisted::List`]. See [`record_batch`](Self::record_batch).
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
        self.record_keyed(batch, RecordContext { unlisted: Unlisted::Reject, ..context.into() })
    }

    fn record_keyed<K: InstrumentKey>(&self, batch: &[(K, Tick)], context: RecordContext) -> Outcomes {
        let mut outcomes = Outcomes::default();
        if batch.len() < 2 * self.config.stripes() {
            // Fewer than two ticks a stripe on average: sorting costs more than it saves.
            for (position, (key, tick)) in batch.iter().enumerate() {
                outcomes.count(key.record(self, tick, context.at_position(position)));
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
            self.record_block(block, &mut scratch, context.at_position(number * BLOCK), &mut outcomes);
        }
        outcomes
    }

    fn record_block<K: InstrumentKey>(
        &self,
        block: &[(K, Tick)],
        scratch: &mut Scratch,
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) {
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
            // In the order of the batch, so that the same instruments are listed if there is no room for all.
            for (position, ((key, tick), is_waiting)) in block.iter().zip(&mut scratch.waiting).enumerate() {
                if std::mem::take(is_waiting) {
                    outcomes.count(key.record(self, tick, context.at_position(position)));
                }
            }
        }
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
