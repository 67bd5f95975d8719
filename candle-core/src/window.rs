//! The window: the interval of the candles, and how many of them a read can go back.

use std::fmt;

use crate::interval::{Interval, OpenTime};
use crate::rules::Rules;
use crate::time::Timestamp;

/// The interval and the number of the candles that a read returns. The number includes the forming candle.
///
/// ```
/// use candle_core::{Interval, Window};
///
/// let window = Window::new(Interval::SECOND, 600)?;
/// assert_eq!((window.interval(), window.candles()), (Interval::SECOND, 600));
/// assert_eq!(Window::default(), Window::new(Interval::MINUTE, 30)?);
/// assert!(Window::new(Interval::MINUTE, 0).is_err());
/// # Ok::<(), candle_core::InvalidWindow>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    interval: Interval,
    candles: u32,
    /// The number of intervals that a ring stores, counted back from the newest candle: the window, one interval for each
    /// that a tick may be ahead of `now`, and one for a reader whose `now` is a moment behind the writer's.
    span: u32,
}

impl Window {
    /// The longest window of intervals of 5 seconds and more: a day of minutes. See [`max_candles`](Self::max_candles).
    pub const MAX_CANDLES: usize = 1_440;

    /// Thirty candles of one minute.
    pub const DEFAULT: Self = Self::valid(Interval::MINUTE, 30);

    /// Returns the number of candles of the longest window of an interval: two hours, or
    /// [`MAX_CANDLES`](Self::MAX_CANDLES) if that is longer. 7,200 candles of one second.
    pub const fn max_candles(interval: Interval) -> usize {
        const TWO_HOURS: u32 = 7_200;
        let candles = (TWO_HOURS / interval.as_seconds()) as usize;
        if candles > Self::MAX_CANDLES { candles } else { Self::MAX_CANDLES }
    }

    /// Creates a window of `candles` candles.
    ///
    /// # Errors
    /// Returns [`InvalidWindow`] unless `candles` is 1 to [`max_candles`](Self::max_candles).
    pub const fn new(interval: Interval, candles: usize) -> Result<Self, InvalidWindow> {
        let max = Self::max_candles(interval);
        if candles == 0 || candles > max {
            return Err(InvalidWindow { candles, max });
        }
        Ok(Self::valid(interval, candles))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 7200 candles and 60 seconds")]
    const fn valid(interval: Interval, candles: usize) -> Self {
        let ahead = (Rules::MAX_AHEAD_LIMIT_MICROS as u64).div_ceil(interval.micros() as u64) as u32;
        Self { interval, candles: candles as u32, span: candles as u32 + ahead + 1 }
    }

    /// Returns the interval of the candles.
    #[inline]
    pub const fn interval(self) -> Interval {
        self.interval
    }

    /// Returns the number of candles.
    pub const fn candles(self) -> usize {
        self.candles as usize
    }

    /// Returns the number of intervals that a ring stores, counted back from its newest candle.
    ///
    /// This is the window and its spare room: one interval for each that a tick may be ahead of `now` (at most 60 s), and
    /// one for a reader whose `now` is a moment behind the writer's.
    pub const fn stored(self) -> usize {
        self.span as usize
    }

    /// Returns the same number of candles of another interval, cut to its [`max_candles`](Self::max_candles).
    #[must_use]
    pub(crate) const fn with_interval(self, interval: Interval) -> Self {
        let (candles, max) = (self.candles as usize, Self::max_candles(interval));
        Self::valid(interval, if candles < max { candles } else { max })
    }

    /// Returns the open time of the first candle of the window, if its last candle opens at `forming`.
    #[inline]
    pub(crate) const fn first(self, forming: OpenTime) -> OpenTime {
        OpenTime(forming.0.saturating_sub((self.candles as u64 - 1) * self.interval.as_seconds() as u64))
    }

    /// Returns the open time from which on candles are stored if the newest one opens at `newest`, or `None` if every
    /// earlier candle is stored.
    #[inline]
    pub(crate) const fn oldest(self, newest: OpenTime) -> Option<OpenTime> {
        match newest.0.checked_sub((self.span as u64 - 1) * self.interval.as_seconds() as u64) {
            Some(open) => Some(OpenTime(open)),
            None => None,
        }
    }

    /// Returns the slot of the candle that opens at `open`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below the span")]
    pub(crate) const fn slot(self, open: OpenTime) -> usize {
        let number = self.interval.number(open);
        let default = Self::DEFAULT.span;
        (if self.span == default { number % default as u64 } else { number % self.span as u64 }) as usize
    }

    /// Returns the slot `steps` after `slot`. At most one turn ahead.
    #[inline]
    pub(crate) const fn slot_after(self, slot: usize, steps: usize) -> usize {
        let next = slot + steps;
        if next < self.span as usize { next } else { next - self.span as usize }
    }

    /// Returns the open time `steps` intervals after `open`.
    #[inline]
    pub(crate) const fn after(self, open: OpenTime, steps: usize) -> OpenTime {
        OpenTime(open.0 + steps as u64 * self.interval.as_seconds() as u64)
    }

    /// Returns the number of intervals from `first` to `last`.
    #[expect(clippy::cast_possible_truncation, reason = "only called within a window")]
    pub(crate) const fn intervals(self, first: OpenTime, last: OpenTime) -> usize {
        (self.interval.number(last) - self.interval.number(first)) as usize
    }

    /// Returns the open time of the candle that contains `at`.
    #[inline]
    pub(crate) const fn open(self, at: Timestamp) -> OpenTime {
        self.interval.open(at)
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The error of a window without candles, or with too many.
///
/// ```
/// let error = candle_core::Config::default().with_window(5_000).unwrap_err();
/// assert_eq!(error.to_string(), "a window of 5000 candles is out of range; 1 to 1440 candles are expected");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidWindow {
    /// The number of candles.
    pub candles: usize,
    /// The number of candles of the longest window of the interval.
    pub max: usize,
}

impl fmt::Display for InvalidWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { candles, max } = self;
        write!(f, "a window of {candles} candles is out of range; 1 to {max} candles are expected")
    }
}

impl std::error::Error for InvalidWindow {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_has_room_for_every_interval_that_a_tick_may_be_ahead() {
        let stored = |seconds, candles| Window::new(Interval::seconds(seconds).unwrap(), candles).unwrap().stored();
        assert_eq!([stored(60, 30), stored(1, 600), stored(45, 10), stored(86_400, 1)], [32, 661, 13, 3]);
    }

    #[test]
    fn windows_have_a_day_of_minutes_or_two_hours_of_shorter_candles() {
        let max = |seconds| Window::max_candles(Interval::seconds(seconds).unwrap());
        assert_eq!([max(1), max(2), max(5), max(60), max(86_400)], [7_200, 3_600, 1_440, 1_440, 1_440]);
        let of = |interval, candles| Window::new(interval, candles).is_ok();
        assert_eq!([0, 1, 1_440, 1_441].map(|candles| of(Interval::MINUTE, candles)), [false, true, true, false]);
        assert_eq!([7_200, 7_201].map(|candles| of(Interval::SECOND, candles)), [true, false]);
        let cut = Window::new(Interval::SECOND, 7_200).unwrap().with_interval(Interval::MINUTE);
        assert_eq!(cut, Window::new(Interval::MINUTE, 1_440).unwrap());
    }
}
