//! A plain candle and a plain ring of candles, as in most programs.

use candle_core::Tick;

/// The number of minutes that a rival stores.
pub const WINDOW_MINUTES: usize = 30;

/// The candle of one minute; `count` is 0 if the minute has no tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlainCandle {
    /// Minutes since the Unix epoch.
    pub minute: i64,
    /// The first price.
    pub open: f64,
    /// The highest price.
    pub high: f64,
    /// The lowest price.
    pub low: f64,
    /// The last price.
    pub close: f64,
    /// The sum of sizes.
    pub volume: f64,
    /// The number of ticks.
    pub count: u32,
}

/// Returns the minute of a tick.
#[inline]
pub(super) fn minute_of(tick: &Tick) -> i64 {
    tick.time.as_micros().div_euclid(60_000_000)
}

impl PlainCandle {
    /// Creates the candle of a first tick.
    #[inline]
    pub fn opened(minute: i64, tick: &Tick) -> Self {
        let price = tick.price;
        Self { minute, open: price, high: price, low: price, close: price, volume: tick.size, count: 1 }
    }

    /// Adds one more tick of the same minute, in order of arrival.
    #[inline]
    pub fn update(&mut self, tick: &Tick) {
        self.high = if tick.price > self.high { tick.price } else { self.high };
        self.low = if tick.price < self.low { tick.price } else { self.low };
        self.close = tick.price;
        self.volume += tick.size;
        self.count += 1;
    }
}

/// A ring of the candles of the last [`WINDOW_MINUTES`] minutes. Minute `m` is in slot `m % 30`.
#[derive(Clone, Debug)]
pub struct PlainRing([PlainCandle; WINDOW_MINUTES]);

impl Default for PlainRing {
    fn default() -> Self {
        Self([PlainCandle::default(); WINDOW_MINUTES])
    }
}

impl PlainRing {
    /// Adds a tick to the slot of its minute. A candle of an earlier minute is overwritten.
    #[inline]
    pub fn update(&mut self, tick: &Tick) {
        let minute = minute_of(tick);
        let candle = &mut self.0[slot(minute)];
        if candle.count > 0 && candle.minute == minute {
            candle.update(tick);
        } else {
            *candle = PlainCandle::opened(minute, tick);
        }
    }

    /// Returns the candles, in no order.
    pub fn candles(&self) -> impl Iterator<Item = &PlainCandle> {
        self.0.iter().filter(|candle| candle.count > 0)
    }

    /// Stores a closed candle in its slot.
    pub fn put(&mut self, candle: PlainCandle) {
        self.0[slot(candle.minute)] = candle;
    }
}

fn slot(minute: i64) -> usize {
    usize::try_from(minute.rem_euclid(30)).expect("a remainder is not negative")
}
