//! Recording many ticks in one call.

mod group;

mod run;

mod sorted;

use std::collections::BTreeMap;

use super::{Aggregator, STRIPE_SHIFT};
use crate::handle::Handle;
use crate::instrument_id::{InstrumentId, same_text};
use crate::outcome::{Outcome, Outcomes};
use crate::record_context::{RecordContext, Unlisted};
use crate::stripe::Stripe;
use crate::tick::Tick;

/// The smallest number of ticks a stripe for which sorting by stripe is worth its cost.
const MIN_TICKS_PER_STRIPE: usize = 16;

/// The two ways in which a batch names its instruments: by id and by handle.
trait InstrumentKey: Copy {
    /// The smallest number of ticks for which a group is faster than one lock after another.
    const MIN_GROUP: usize;

    /// Returns a hash whose stripe is that of the instrument.
    fn hash(self, aggregator: &Aggregator) -> u64;

    /// Returns the likely slot of the instrument without reading the slot.
    fn guess(self, hash: u64, stripe: &Stripe) -> u32;

    /// Returns the slot of the instrument, if it is listed.
    fn find(self, hash: u64, guess: u32, stripe: &Stripe) -> Option<u32>;

    /// Returns true if this key and `other` name one instrument. Needs no stripe.
    fn is_same(self, other: Self) -> bool;

    /// Returns true if this key names the instrument of `other`, which was found in `slot`.
    fn is_again(self, other: Self, slot: u32, stripe: &Stripe) -> bool;

    /// Records one tick by itself.
    fn record(self, aggregator: &Aggregator, tick: &Tick, context: RecordContext) -> Outcome;

    /// Records a valid tick under the lock of the catalogue, and lists the instrument if needed.
    fn record_listing(
        self,
        aggregator: &Aggregator,
        catalogue: &mut BTreeMap<InstrumentId, Handle>,
        tick: &Tick,
        context: RecordContext,
    ) -> Outcome;
}

impl InstrumentKey for &str {
    const MIN_GROUP: usize = 4;

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
    fn is_same(self, other: Self) -> bool {
        same_text(self.as_bytes(), other.as_bytes())
    }

    #[inline]
    fn is_again(self, _: Self, slot: u32, stripe: &Stripe) -> bool {
        stripe.has_id(slot, self.as_bytes())
    }

    #[inline]
    fn record(self, aggregator: &Aggregator, tick: &Tick, context: RecordContext) -> Outcome {
        aggregator.record(self, tick, context)
    }

    fn record_listing(
        self,
        aggregator: &Aggregator,
        catalogue: &mut BTreeMap<InstrumentId, Handle>,
        tick: &Tick,
        context: RecordContext,
    ) -> Outcome {
        aggregator.record_listing(catalogue, self, tick, &context)
    }
}

impl InstrumentKey for Handle {
    // A handle saves the loads of a look-up, so that a group has less to overlap.
    const MIN_GROUP: usize = 8;

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
    fn is_same(self, other: Self) -> bool {
        self == other
    }

    #[inline]
    fn is_again(self, other: Self, _: u32, _: &Stripe) -> bool {
        self == other
    }

    #[inline]
    fn record(self, aggregator: &Aggregator, tick: &Tick, context: RecordContext) -> Outcome {
        aggregator.record_at(self, tick, context)
    }

    fn record_listing(
        self,
        aggregator: &Aggregator,
        _: &mut BTreeMap<InstrumentId, Handle>,
        tick: &Tick,
        context: RecordContext,
    ) -> Outcome {
        aggregator.record_at(self, tick, context)
    }
}

impl Aggregator {
    /// Records many ticks and returns the number of ticks by outcome. The result is that of recording the ticks one by one
    /// in this order.
    ///
    /// A batch of about eight ticks or more is faster than single ticks, because the processor loads the memory of many
    /// instruments at once. Nothing is allocated, unless a tick lists its instrument.
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
        let min_sorted = MIN_TICKS_PER_STRIPE * self.config.stripes();
        let sorted =
            if batch.len() < min_sorted { 0 } else { self.record_large(batch, min_sorted, context, &mut outcomes) };
        self.record_small(&batch[sorted..], context.at_position(sorted), &mut outcomes);
        outcomes
    }

    /// Returns the outcome that refuses a tick of an unlisted instrument, or `None` if the tick lists its instrument. Such a
    /// tick is recorded after the locks of the stripes were released: listing locks the catalogue, which comes before the
    /// stripes in the lock order.
    #[cold]
    fn refuse_in_batch(&self, tick: &Tick, context: &RecordContext) -> Option<Outcome> {
        let validator = self.config.rules().at(context.now);
        match context.unlisted {
            Unlisted::Reject => Some(validator.refuse_unlisted(tick)),
            Unlisted::List => validator.validate(tick, self.config.window()).err(),
        }
    }

    /// Records the ticks of `batch` at `positions`, which wait for instruments to be listed. Their order is that of the
    /// batch, so that the same instruments are listed if there is no room for all.
    #[cold]
    fn record_waiting<K: InstrumentKey>(
        &self,
        batch: &[(K, Tick)],
        positions: impl Iterator<Item = usize>,
        context: RecordContext,
        outcomes: &mut Outcomes,
    ) {
        let validator = self.config.rules().at(context.now);
        let mut catalogue = self.catalogue.lock();
        for position in positions {
            let (key, tick) = &batch[position];
            let context = context.at_position(position);
            outcomes.count(match validator.validate(tick, self.config.window()) {
                Ok(_) => key.record_listing(self, &mut catalogue, tick, context),
                // An invalid tick lists nothing, so it does not lock the catalogue again.
                Err(_) => key.record(self, tick, context),
            });
        }
    }
}
