//! Candles as seen from `now`.

use std::fmt;

use crate::candle::{self, Candle};
use crate::interval::{Interval, OpenTime};
use crate::time::Timestamp;

/// The treatment of intervals without ticks in a read.
///
/// ```
/// use candle_core::{Gaps, Ring, Rules, Tick, Timestamp};
///
/// let now = Timestamp::EPOCH;
/// let later = now.saturating_add(120_000_000);
/// let mut ring = Ring::default();
/// let _ = ring.record(&Tick::new(now, 7.0), &Rules::default().at(now));
/// assert_eq!(ring.candles(later, Gaps::Filled).count(), 3);
/// assert_eq!(ring.candles(later, Gaps::Omitted).count(), 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Gaps {
    /// Return a flat candle at the previous close, marked as filled.
    #[default]
    Filled,
    /// Return no candle for the interval, also if it is forming.
    Omitted,
}

/// The state of a candle.
///
/// ```
/// assert_eq!(candle_core::State::Forming.name(), "forming");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum State {
    /// The interval of the candle is not over.
    Forming,
    /// The interval is over, and the candle has not changed since.
    Final,
    /// A late tick changed the candle after its interval was over.
    Revised,
}

impl State {
    /// Returns the name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forming => "forming",
            Self::Final => "final",
            Self::Revised => "revised",
        }
    }
}

/// One candle of the window: the ticks of an interval, or the filler of an interval without ticks.
///
/// ```
/// use candle_core::{Gaps, Ring, Rules, State, Tick, Timestamp};
///
/// let now = Timestamp::EPOCH;
/// let mut ring = Ring::default();
/// let _ = ring.record(&Tick::new(now, 7.0).with_size(2.0), &Rules::default().at(now));
/// let candle = ring.candles(now, Gaps::Filled).next().unwrap();
/// assert_eq!((candle.close, candle.count, candle.state, candle.filled), (7.0, 1, State::Forming, false));
/// assert_eq!(candle.vwap(), Some(7.0));
/// assert_eq!(candle.to_string(), "1970-01-01T00:00:00Z 7 7 7 7 2");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct WindowCandle {
    /// The start of the candle: a multiple of its interval.
    pub open_time: Timestamp,
    /// The end of the candle, exclusive: the open time of the next one. For the last candle of the year 9999, its last
    /// microsecond.
    pub close_time: Timestamp,
    /// The price of the first tick.
    pub open: f64,
    /// The highest price.
    pub high: f64,
    /// The lowest price.
    pub low: f64,
    /// The price of the last tick.
    pub close: f64,
    /// The sum of the sizes of buys and sells, 0 if the feed sends none.
    pub volume: f64,
    /// The sum of the sizes of buys. The whole volume if the feed sends no sides.
    pub buy_volume: f64,
    /// The sum of price times size.
    pub quote_volume: f64,
    /// The number of ticks. 0 if and only if the candle is filled.
    pub count: u32,
    /// The state.
    pub state: State,
    /// True if the interval has no tick. All four prices are then the previous close.
    pub filled: bool,
}

impl WindowCandle {
    pub(crate) fn traded(interval: Interval, candle: &Candle, forming: OpenTime) -> Self {
        Self::traded_at(interval, candle.opens_at(), candle, forming)
    }

    /// Returns the candle, which opens at `open`.
    #[inline]
    pub(crate) fn traded_at(interval: Interval, open: OpenTime, candle: &Candle, forming: OpenTime) -> Self {
        let over = if candle.is_revised() { State::Revised } else { State::Final };
        let open_time = open.start();
        Self {
            open_time,
            close_time: open_time.saturating_add(interval.micros()),
            open: candle.open(),
            high: candle.high(),
            low: candle.low(),
            close: candle.close(),
            volume: candle.volume(),
            buy_volume: candle.buy_volume(),
            quote_volume: candle.quote_volume(),
            count: candle.count(),
            state: if open < forming { over } else { State::Forming },
            filled: false,
        }
    }

    #[inline]
    pub(crate) fn filler(interval: Interval, open: OpenTime, close: f64, forming: OpenTime) -> Self {
        Self {
            open_time: open.start(),
            close_time: open.start().saturating_add(interval.micros()),
            open: close,
            high: close,
            low: close,
            close,
            volume: 0.0,
            buy_volume: 0.0,
            quote_volume: 0.0,
            count: 0,
            state: if open < forming { State::Final } else { State::Forming },
            filled: true,
        }
    }

    /// Returns the average price, weighted by volume, or `None` if the volume is 0. Within low and high.
    pub fn vwap(&self) -> Option<f64> {
        candle::vwap(self.volume, self.quote_volume, self.low, self.high)
    }
}

/// Writes open time, open, high, low, close and volume, separated by spaces.
impl fmt::Display for WindowCandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {} {} {}", self.open_time, self.open, self.high, self.low, self.close, self.volume)
    }
}
