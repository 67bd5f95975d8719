//! The window: candles as seen from `now`.

use crate::candle::Candle;
use crate::time::Minute;

/// The treatment of minutes without ticks in a read.
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
    /// Return no candle for the minute, also if it is forming.
    Omitted,
}

/// The state of a candle.
///
/// ```
/// assert_eq!(candle_core::State::Forming.name(), "forming");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The minute of the candle is not over.
    Forming,
    /// The minute is over, and the candle has not changed since.
    Final,
    /// A late tick changed the candle after its minute was over.
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

/// One candle of the window: the ticks of a minute, or the filler of a minute without ticks.
///
/// ```
/// use candle_core::{Gaps, Ring, Rules, State, Tick, Timestamp};
///
/// let now = Timestamp::EPOCH;
/// let mut ring = Ring::default();
/// let _ = ring.record(&Tick::new(now, 7.0), &Rules::default().at(now));
/// let candle = ring.candles(now, Gaps::Filled).next().unwrap();
/// assert_eq!((candle.close, candle.count, candle.state, candle.filled), (7.0, 1, State::Forming, false));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct WindowCandle {
    /// The minute of the candle, `[start, start + 60 s)`.
    pub minute: Minute,
    /// The price of the first tick.
    pub open: f64,
    /// The highest price.
    pub high: f64,
    /// The lowest price.
    pub low: f64,
    /// The price of the last tick.
    pub close: f64,
    /// The sum of the sizes, 0 if the feed sends none.
    pub volume: f64,
    /// The number of ticks. 0 if and only if the candle is filled.
    pub count: u32,
    /// The state.
    pub state: State,
    /// True if the minute has no tick. All four prices are then the previous close.
    pub filled: bool,
}

impl WindowCandle {
    pub(crate) fn traded(candle: &Candle, forming: Minute) -> Self {
        let over = if candle.is_revised() { State::Revised } else { State::Final };
        Self {
            minute: candle.minute(),
            open: candle.open(),
            high: candle.high(),
            low: candle.low(),
            close: candle.close(),
            volume: candle.volume(),
            count: candle.count(),
            state: if candle.minute() < forming { over } else { State::Forming },
            filled: false,
        }
    }

    pub(crate) fn filler(minute: Minute, close: f64, forming: Minute) -> Self {
        Self {
            minute,
            open: close,
            high: close,
            low: close,
            close,
            volume: 0.0,
            count: 0,
            state: if minute < forming { State::Final } else { State::Forming },
            filled: true,
        }
    }
}
