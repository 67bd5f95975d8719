//! The candle: open, high, low, close, volumes and count of one instrument's ticks within one interval.

use std::fmt;

use crate::interval::{Interval, OpenTime};
use crate::key::{Key, KeyParts};
use crate::price::Price;
use crate::size::Size;
use crate::tick::Tick;
use crate::time::Timestamp;
use crate::validator::ValidTick;

mod stamp;
#[cfg(feature = "serde")]
pub(crate) mod stored;
#[cfg(test)]
mod tests;

use stamp::Stamp;

/// The candle of one instrument and one interval. Has at least one tick.
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
/// for (second, price, size) in [(30, 12.0, 1.0), (5, 10.0, -3.0), (13, 15.0, 0.0)] {
///     let tick = Tick::new(now.saturating_add(second * 1_000_000), price).with_size(size);
///     let _ = ring.record(&tick, &Rules::default().at(tick.time));
/// }
/// let candle = ring.newest().unwrap();
/// assert_eq!([candle.open(), candle.high(), candle.low(), candle.close()], [10.0, 15.0, 10.0, 12.0]);
/// assert_eq!((candle.volume(), candle.buy_volume(), candle.vwap()), (4.0, 1.0, Some(10.5)));
/// assert_eq!(candle.to_string(), "1970-01-01T00:01:00Z 10 15 10 12 4");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
// In this order, the first 64 bytes are all that a tick in order reads and writes.
#[repr(C)]
pub struct Candle {
    // Invariant: low <= open <= high and low <= close <= high, all finite. High and low are not adjacent, nor are two
    // volumes, because the compiler would update adjacent fields as one vector, in three times as many instructions.
    high: f64,
    volume: f64,
    low: f64,
    /// Finite: at most about 1e305. Negative if the prices are.
    quote_volume: f64,
    close: f64,
    /// At most the volume.
    buy_volume: f64,
    /// The key of the close. It precedes no tick of the candle.
    last: Key,
    stamp: Stamp,
    open: f64,
    /// The key of the open. No tick of the candle precedes it.
    first: Key,
}

// `Option<Candle>` uses the niche of the stamp, which is never zero.
const _: () = assert!(size_of::<Candle>() == 80 && size_of::<Option<Candle>>() == 80);

impl Candle {
    /// The largest count of a candle of a whole number of minutes; see [`Interval::max_count`]. Further ticks still update
    /// prices and volumes. One instrument reaches it with 17 million ticks a second.
    pub const MAX_COUNT: u32 = Interval::MINUTE.max_count();

    /// Creates the candle of one tick.
    pub(crate) fn opened(tick: &ValidTick, interval: Interval) -> Self {
        let price = tick.price.get();
        Self {
            open: price,
            high: price,
            low: price,
            close: price,
            volume: tick.size.magnitude(),
            buy_volume: tick.size.bought(),
            quote_volume: bounded(price * tick.size.magnitude()),
            first: tick.key,
            last: tick.key,
            stamp: Stamp::new(tick.open, interval),
        }
    }

    /// Adds a tick of the same interval, at any price.
    pub(crate) fn update_any(&mut self, tick: &ValidTick) {
        self.update(tick);
        self.quote_volume = bounded(self.quote_volume);
    }

    /// Adds a tick of the same interval, whose price is [plain](crate::price::Price::plain).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call on the path of every tick costs a tenth of it")]
    pub(crate) fn update(&mut self, tick: &ValidTick) {
        debug_assert_eq!(tick.open, self.stamp.open());
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
        self.volume += tick.size.magnitude();
        self.buy_volume += tick.size.bought();
        self.quote_volume += price * tick.size.magnitude();
        self.stamp.count_one();
    }

    /// Adds the longest prefix of `ticks` that is in order: inside the candle, less than `limit` microseconds after its open
    /// time, and with positive prices. Returns the length of the prefix.
    ///
    /// Adds ticks like [`update`](Self::update), with the candle in registers.
    #[inline]
    pub(crate) fn update_all(&mut self, ticks: &[Tick], limit: u64, interval: Interval) -> usize {
        let start = self.open_time();
        let Self { mut high, mut low, mut close, mut volume, mut buy_volume, mut quote_volume, last, .. } = *self;
        let mut last = KeyParts::of(last, interval);
        let mut updated = 0;
        for tick in ticks {
            #[expect(clippy::cast_sign_loss, reason = "a negative offset is meant to be large")]
            let next = last.at(tick.time.micros_since(start) as u64, tick.seq);
            let (Some(price), Some(size)) = (Price::plain(tick.price), Size::new(tick.size)) else { break };
            let price = price.get();
            // A tick that is not the last one may set the open, which is not in a register.
            if next.offset() >= limit || next.precedes(last) {
                break;
            }
            (close, last) = (price, next);
            high = if price > high { price } else { high };
            low = if price < low { price } else { low };
            volume += size.magnitude();
            buy_volume += size.bought();
            quote_volume += price * size.magnitude();
            updated += 1;
        }
        *self = Self { high, low, close, volume, buy_volume, quote_volume, last: last.key(interval), ..*self };
        self.stamp.count_more(updated as u64);
        updated
    }

    /// Marks the candle as changed after its interval was over.
    pub(crate) const fn revise(&mut self) {
        self.stamp.revise();
    }

    /// Returns the candle of the ticks of both candles, or `None` if their open times differ. The ticks of `self` count as the
    /// ones that arrived first. Counts and volumes are added.
    ///
    /// The operation is associative. It is commutative if the first and last ticks of the two have distinct `(time, seq)`.
    #[must_use]
    pub fn merged(mut self, later: &Self) -> Option<Self> {
        if self.stamp.open() != later.stamp.open() || self.stamp.form() != later.stamp.form() {
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
        self.buy_volume += later.buy_volume;
        self.quote_volume = bounded(self.quote_volume + later.quote_volume);
        self.stamp.count_more(u64::from(later.count()));
        if later.is_revised() {
            self.revise();
        }
        Some(self)
    }

    /// Returns the start of the candle: a multiple of its interval.
    #[inline]
    pub const fn open_time(&self) -> Timestamp {
        self.stamp.open().start()
    }

    #[inline]
    pub(crate) const fn opens_at(&self) -> OpenTime {
        self.stamp.open()
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

    /// Returns the sum of the sizes of buys and sells.
    pub const fn volume(&self) -> f64 {
        self.volume
    }

    /// Returns the sum of the sizes of buys. The whole volume if the feed sends no sides.
    pub const fn buy_volume(&self) -> f64 {
        self.buy_volume
    }

    /// Returns the sum of price times size, which is the traded amount of money. Cut to ±1e305.
    pub const fn quote_volume(&self) -> f64 {
        self.quote_volume
    }

    /// Returns the average price, weighted by volume, or `None` if the volume is 0. Within low and high.
    pub fn vwap(&self) -> Option<f64> {
        vwap(self.volume, self.quote_volume, self.low, self.high)
    }

    /// Returns the number of ticks, 1 to [`Interval::max_count`].
    #[inline]
    pub const fn count(&self) -> u32 {
        self.stamp.count()
    }

    /// Returns true if a tick was added after the interval was over.
    #[inline]
    pub const fn is_revised(&self) -> bool {
        self.stamp.is_revised()
    }

    /// Returns the time of the first tick.
    #[expect(clippy::cast_possible_wrap, reason = "there are fewer than 2^59 microseconds")]
    pub const fn first_time(&self) -> Timestamp {
        Timestamp::after_first(self.stamp.open().0 as i64 * 1_000_000 + self.first.offset() as i64)
    }

    /// Returns the time of the last tick.
    #[expect(clippy::cast_possible_wrap, reason = "there are fewer than 2^59 microseconds")]
    pub const fn last_time(&self) -> Timestamp {
        Timestamp::after_first(self.stamp.open().0 as i64 * 1_000_000 + self.last.offset() as i64)
    }
}

/// The largest quote volume. Ticks of plain prices then add up to a finite sum without a check of each.
const MAX_QUOTE_VOLUME: f64 = 1e305;

/// Cuts a quote volume to ±[`MAX_QUOTE_VOLUME`]. Only prices of 1e280 and more reach these bounds.
pub(crate) const fn bounded(quote_volume: f64) -> f64 {
    quote_volume.clamp(-MAX_QUOTE_VOLUME, MAX_QUOTE_VOLUME)
}

/// Returns the average price, weighted by volume, or `None` if the volume is 0.
pub(crate) fn vwap(volume: f64, quote_volume: f64, low: f64, high: f64) -> Option<f64> {
    // Rounding may take the quotient out of the range of the prices.
    (volume > 0.0).then(|| (quote_volume / volume).clamp(low, high))
}

/// Writes open time, open, high, low, close and volume, separated by spaces.
impl fmt::Display for Candle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {} {} {}", self.open_time(), self.open, self.high, self.low, self.close, self.volume)
    }
}
