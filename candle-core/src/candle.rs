//! The candle: open, high, low, close, volume and count of one instrument's ticks within one minute.

use std::num::NonZeroU64;

use crate::key::Key;
use crate::time::{Minute, Timestamp};
use crate::validator::ValidTick;

/// The candle of one instrument and one minute. Has at least one tick, and fits one cache line.
///
/// Open is the price at the smallest `(time, seq)` and close is the price at the largest. The order of arrival therefore
/// does not matter if no two ticks have the same `(time, seq)`. Of two such ticks, the first to arrive sets the open and the
/// last sets the close.
///
/// ```
/// use candle_core::{Ring, Rules, Tick, Timestamp};
///
/// let now = Timestamp::from_seconds(60).unwrap();
/// let mut ring = Ring::default();
/// for (second, price) in [(30, 12.0), (5, 10.0), (13, 15.0)] {
///     let tick = Tick::new(now.saturating_add(second * 1_000_000), price);
///     let _ = ring.record(&tick, &Rules::default().at(tick.time));
/// }
/// let candle = ring.newest().unwrap();
/// assert_eq!([candle.open(), candle.high(), candle.low(), candle.close()], [10.0, 15.0, 10.0, 12.0]);
/// assert_eq!(candle.count(), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
pub struct Candle {
    // Invariant: low <= open <= high and low <= close <= high, all finite. High and low are not adjacent, because the
    // compiler would update adjacent fields as one vector, in three times as many instructions.
    high: f64,
    open: f64,
    low: f64,
    close: f64,
    volume: f64,
    /// The key of the open. No tick of the candle precedes it.
    first: Key,
    /// The key of the close. It precedes no tick of the candle.
    last: Key,
    stamp: Stamp,
}

// Five prices and volumes, two keys and the stamp. `Option<Candle>` uses the niche of the stamp, which is never zero.
const _: () = assert!(size_of::<Candle>() == 64 && size_of::<Option<Candle>>() == 64);

/// The minute, the revised flag and the count, in 33 + 1 + 30 bits.
///
/// The years 1 to 9999 have fewer than 2^33 minutes. The count is never zero, so the stamp is never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(NonZeroU64);

const COUNT_BITS: u32 = 30;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const REVISED: u64 = 1 << COUNT_BITS;
const MINUTE_SHIFT: u32 = COUNT_BITS + 1;
const _: () = assert!(Minute::MAX.number() - Minute::MIN.number() < 1 << (u64::BITS - MINUTE_SHIFT));

impl Stamp {
    #[expect(clippy::cast_sign_loss, reason = "no minute is before `Minute::MIN`")]
    const fn new(minute: Minute, count: NonZeroU64) -> Self {
        let minutes = (minute.number() - Minute::MIN.number()) as u64;
        Self(NonZeroU64::MIN.saturating_add((minutes << MINUTE_SHIFT | count.get()) - 1))
    }

    #[inline]
    const fn minute(self) -> Minute {
        Minute::after_first(self.0.get() >> MINUTE_SHIFT)
    }

    /// Adds one to the count, up to [`Candle::MAX_COUNT`].
    #[inline]
    const fn count_one(&mut self) {
        let next = self.0.get().wrapping_add(1);
        if next & COUNT_MASK != 0 {
            if let Some(next) = NonZeroU64::new(next) {
                self.0 = next;
            }
        }
    }

    /// Adds `more` to the count, up to [`Candle::MAX_COUNT`].
    const fn count_more(&mut self, more: u64) {
        let room = COUNT_MASK - (self.0.get() & COUNT_MASK);
        self.0 = self.0.saturating_add(if more < room { more } else { room });
    }
}

impl Candle {
    /// The largest count. Further ticks still update prices and volume. One instrument reaches it with 17 million ticks a
    /// second.
    pub const MAX_COUNT: u32 = (1 << COUNT_BITS) - 1;

    /// Creates the candle of one tick.
    pub(crate) const fn opened(tick: &ValidTick) -> Self {
        let price = tick.price.get();
        Self {
            open: price,
            high: price,
            low: price,
            close: price,
            volume: tick.size.get(),
            first: tick.key,
            last: tick.key,
            stamp: Stamp::new(tick.minute, NonZeroU64::MIN),
        }
    }

    /// Adds a tick of the same minute.
    #[inline]
    pub(crate) fn update(&mut self, tick: &ValidTick) {
        debug_assert_eq!(tick.minute, self.minute());
        let price = tick.price.get();
        // Selections instead of branches: a branch on a candle that is not in a cache is expensive if it is predicted wrong.
        self.high = if price > self.high { price } else { self.high };
        self.low = if price < self.low { price } else { self.low };
        if !tick.key.precedes(self.last) {
            self.close = price;
            self.last = tick.key;
        } else if tick.key.precedes(self.first) {
            self.open = price;
            self.first = tick.key;
        }
        self.volume += tick.size.get();
        self.stamp.count_one();
    }

    /// Marks the candle as changed after its minute was over.
    pub(crate) const fn revise(&mut self) {
        self.stamp.0 = self.stamp.0.saturating_add((!self.stamp.0.get()) & REVISED);
    }

    /// Returns the candle of the ticks of both candles, or `None` if their minutes differ. The ticks of `self` count as the
    /// ones that arrived first. Counts and volumes are added.
    ///
    /// The operation is associative. It is commutative if the first and last ticks of the two have distinct `(time, seq)`.
    #[must_use]
    pub fn merged(mut self, later: &Self) -> Option<Self> {
        if self.minute() != later.minute() {
            return None;
        }
        if later.first.precedes(self.first) {
            self.open = later.open;
            self.first = later.first;
        }
        if !later.last.precedes(self.last) {
            self.close = later.close;
            self.last = later.last;
        }
        self.high = if later.high > self.high { later.high } else { self.high };
        self.low = if later.low < self.low { later.low } else { self.low };
        self.volume += later.volume;
        self.stamp.count_more(u64::from(later.count()));
        if later.is_revised() {
            self.revise();
        }
        Some(self)
    }

    /// Returns the minute.
    #[inline]
    pub const fn minute(&self) -> Minute {
        self.stamp.minute()
    }

    /// Returns the price of the first tick.
    pub const fn open(&self) -> f64 {
        self.open
    }

    /// Returns the highest price.
    pub const fn high(&self) -> f64 {
        self.high
    }

    /// Returns the lowest price.
    pub const fn low(&self) -> f64 {
        self.low
    }

    /// Returns the price of the last tick.
    pub const fn close(&self) -> f64 {
        self.close
    }

    /// Returns the sum of the sizes.
    pub const fn volume(&self) -> f64 {
        self.volume
    }

    /// Returns the number of ticks, 1 to [`MAX_COUNT`](Self::MAX_COUNT).
    pub const fn count(&self) -> u32 {
        (self.stamp.0.get() & COUNT_MASK) as u32
    }

    /// Returns true if a tick was added after the minute was over.
    pub const fn is_revised(&self) -> bool {
        self.stamp.0.get() & REVISED != 0
    }

    /// Returns the time of the first tick.
    pub const fn first_time(&self) -> Timestamp {
        self.minute().start().saturating_add(self.first.offset() as i64)
    }

    /// Returns the time of the last tick.
    pub const fn last_time(&self) -> Timestamp {
        self.minute().start().saturating_add(self.last.offset() as i64)
    }
}

/// The fields of a candle in the stored form of a snapshot.
#[cfg(feature = "serde")]
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct CandleParts {
    minute: i64,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
    count: u32,
    revised: bool,
    first: u64,
    last: u64,
}

#[cfg(feature = "serde")]
impl From<&Candle> for CandleParts {
    fn from(candle: &Candle) -> Self {
        Self {
            minute: candle.minute().number(),
            open: candle.open,
            high: candle.high,
            low: candle.low,
            close: candle.close,
            volume: candle.volume,
            count: candle.count(),
            revised: candle.is_revised(),
            first: candle.first.to_bits(),
            last: candle.last.to_bits(),
        }
    }
}

#[cfg(feature = "serde")]
impl CandleParts {
    /// Returns the candle, or `None` if the fields violate an invariant of a candle.
    pub(crate) fn candle(&self) -> Option<Candle> {
        use crate::price::{Price, Prices};

        let price = |raw| Price::new(raw, Prices::Any).map(Price::get);
        let (first, last) = (Key::from_bits(self.first)?, Key::from_bits(self.last)?);
        let is_valid = [self.open, self.close].iter().all(|price| (self.low..=self.high).contains(price))
            && self.volume.is_finite()
            && self.volume >= 0.0
            && (Minute::MIN.number()..=Minute::MAX.number()).contains(&self.minute)
            && self.count <= Candle::MAX_COUNT
            && first.offset() <= last.offset();
        let count = NonZeroU64::new(u64::from(self.count))?;
        let mut candle = Candle {
            open: price(self.open)?,
            high: price(self.high)?,
            low: price(self.low)?,
            close: price(self.close)?,
            volume: self.volume + 0.0,
            first,
            last,
            stamp: Stamp::new(Minute::EPOCH.saturating_add(self.minute), count),
        };
        if self.revised {
            candle.revise();
        }
        is_valid.then_some(candle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::{Price, Prices};
    use crate::size::Size;

    fn tick(offset: u32, seq: u64, price: f64) -> ValidTick {
        ValidTick {
            minute: Minute::EPOCH,
            key: Key::new(offset, seq),
            price: Price::new(price, Prices::Any).unwrap(),
            size: Size::new(1.0).unwrap(),
        }
    }

    fn candle_of(ticks: &[ValidTick]) -> Candle {
        let mut candle = Candle::opened(&ticks[0]);
        ticks[1..].iter().for_each(|tick| candle.update(tick));
        candle
    }

    #[test]
    fn of_equal_keys_the_first_sets_the_open_and_the_last_sets_the_close() {
        let candle = candle_of(&[tick(5, 1, 10.0), tick(5, 1, 11.0), tick(5, 1, 12.0)]);
        assert_eq!((candle.open(), candle.close()), (10.0, 12.0));
        let halves = candle_of(&[tick(5, 1, 10.0)]).merged(&candle_of(&[tick(5, 1, 11.0), tick(5, 1, 12.0)])).unwrap();
        assert_eq!(halves, candle);
    }

    #[test]
    fn a_late_tick_with_the_smallest_key_sets_the_open() {
        let candle = candle_of(&[tick(5, 1, 10.0), tick(9, 0, 11.0), tick(5, 0, 9.0), tick(7, 3, 20.0)]);
        assert_eq!([candle.open(), candle.high(), candle.low(), candle.close()], [9.0, 20.0, 9.0, 11.0]);
    }

    #[test]
    fn highs_of_negative_prices_are_right() {
        let candle = candle_of(&[tick(1, 0, -5.0), tick(2, 0, -3.0), tick(3, 0, -9.0)]);
        assert_eq!((candle.high(), candle.low()), (-3.0, -9.0));
    }

    #[test]
    fn minute_count_and_revised_flag_do_not_affect_each_other() {
        for minute in [Minute::MIN, Minute::EPOCH.saturating_add(-1), Minute::EPOCH, Minute::MAX] {
            let mut candle = Candle::opened(&ValidTick { minute, ..tick(0, 0, 1.0) });
            candle.stamp.count_more(u64::MAX);
            assert_eq!((candle.minute(), candle.count(), candle.is_revised()), (minute, Candle::MAX_COUNT, false));
            candle.revise();
            candle.revise();
            candle.stamp.count_more(1);
            assert_eq!((candle.minute(), candle.count(), candle.is_revised()), (minute, Candle::MAX_COUNT, true));
        }
    }

    #[test]
    fn candles_of_different_minutes_do_not_merge() {
        let other = Candle::opened(&ValidTick { minute: Minute::MAX, ..tick(0, 0, 1.0) });
        assert_eq!(candle_of(&[tick(0, 0, 1.0)]).merged(&other), None);
    }
}
