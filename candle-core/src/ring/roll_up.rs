//! Candles of a coarser interval, made of the candles of a window.

use std::fmt;

use super::read::RingRef;
use crate::candle;
use crate::interval::Interval;
use crate::time::Timestamp;
use crate::window_candle::{Gaps, State, WindowCandle};

impl RingRef<'_> {
    /// Returns the candles of a coarser interval that lie wholly inside the window; see [`Ring::rolled_up`](super::Ring).
    pub(super) fn rolled_up(
        self,
        interval: Interval,
        now: Timestamp,
        gaps: Gaps,
    ) -> Result<Vec<WindowCandle>, InvalidRollUp> {
        let base = self.window.interval();
        if interval.as_seconds() % base.as_seconds() != 0 {
            return Err(InvalidRollUp { base, interval });
        }
        let window_opens = self.window.first(self.window.open(now)).start();
        let forming = interval.open_time(now);
        let mut rolled_up: Vec<WindowCandle> = Vec::new();
        for candle in self.candles(now, Gaps::Filled) {
            let open_time = interval.open_time(candle.open_time);
            // The first candle may have begun before the window.
            let is_whole = open_time >= window_opens;
            let last = rolled_up.last_mut().filter(|last| last.open_time == open_time);
            match last {
                Some(last) => last.add(&candle),
                None if is_whole => rolled_up.push(WindowCandle {
                    open_time,
                    close_time: interval.close_time(open_time),
                    state: if open_time == forming { State::Forming } else { candle.state },
                    ..candle
                }),
                None => {}
            }
        }
        if gaps == Gaps::Omitted {
            rolled_up.retain(|candle| !candle.filled);
        }
        Ok(rolled_up)
    }
}

impl WindowCandle {
    /// Adds the next candle of the base interval.
    fn add(&mut self, next: &Self) {
        if next.state == State::Revised && self.state == State::Final {
            self.state = State::Revised;
        }
        if next.filled {
            return;
        }
        if self.filled {
            // The ticks alone make the candle, as if they had been recorded at this interval.
            (self.open, self.high, self.low, self.filled) = (next.open, next.high, next.low, false);
        }
        self.high = if next.high > self.high { next.high } else { self.high };
        self.low = if next.low < self.low { next.low } else { self.low };
        self.close = next.close;
        self.volume += next.volume;
        self.buy_volume += next.buy_volume;
        self.quote_volume = candle::bounded(self.quote_volume + next.quote_volume);
        self.count = self.count.saturating_add(next.count);
    }
}

/// The error of a roll-up to an interval that is no multiple of the interval of the candles.
///
/// ```
/// use candle_core::{Gaps, Interval, Ring, Timestamp};
///
/// let ring = Ring::default();
/// let error = ring.rolled_up(Interval::seconds(90)?, Timestamp::EPOCH, Gaps::Filled).err().unwrap();
/// assert_eq!(error.to_string(), "candles of 1m do not roll up to 90s; a multiple of 1m is expected");
/// # Ok::<(), candle_core::InvalidInterval>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidRollUp {
    /// The interval of the candles.
    pub base: Interval,
    /// The interval that was asked for.
    pub interval: Interval,
}

impl fmt::Display for InvalidRollUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, interval } = self;
        write!(f, "candles of {base} do not roll up to {interval}; a multiple of {base} is expected")
    }
}

impl std::error::Error for InvalidRollUp {}
