//! A plain candle and a plain ring of them, as most programs write them.

use candle_core::Tick;

/// How many minutes a rival keeps.
pub const KEPT_MINUTES: usize = 30;

/// A minute's prices; `count` is 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bar {
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
    /// How many ticks.
    pub count: u32,
}

/// The minute of a tick.
#[inline]
pub(super) fn minute_of(tick: &Tick) -> i64 {
    tick.time.as_micros().div_euclid(60_000_000)
}

impl Bar {
    /// The candle of one tick.
    #[inline]
    pub fn opened(minute: i64, tick: &Tick) -> Self {
        let price = tick.price;
        Self { minute, open: price, high: price, low: price, close: price, volume: tick.size, count: 1 }
    }

    /// Folds one more tick of the same minute in, in order of arrival.
    #[inline]
    pub fn update(&mut self, tick: &Tick) {
        self.high = if tick.price > self.high { tick.price } else { self.high };
        self.low = if tick.price < self.low { tick.price } else { self.low };
        self.close = tick.price;
        self.volume += tick.size;
        self.count += 1;
    }
}

/// The last [`KEPT_MINUTES`] minutes, slot `minute % 30`.
#[derive(Clone, Debug)]
pub struct Ring([Bar; KEPT_MINUTES]);

impl Default for Ring {
    fn default() -> Self {
        Self([Bar::default(); KEPT_MINUTES])
    }
}

impl Ring {
    /// Folds a tick into its minute's slot, whatever was there before.
    #[inline]
    pub fn update(&mut self, tick: &Tick) {
        let minute = minute_of(tick);
        let bar = &mut self.0[slot(minute)];
        if bar.count > 0 && bar.minute == minute {
            bar.update(tick);
        } else {
            *bar = Bar::opened(minute, tick);
        }
    }

    /// Puts a closed candle into its slot.
    pub fn put(&mut self, bar: Bar) {
        self.0[slot(bar.minute)] = bar;
    }
}

fn slot(minute: i64) -> usize {
    usize::try_from(minute.rem_euclid(30)).expect("a remainder is not negative")
}
