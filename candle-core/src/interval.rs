//! The length of candles, and the alignment of their open times.

use std::fmt;
use std::time::Duration;

use crate::time::Timestamp;

/// The length of a candle: a whole number of seconds from one second to one day that divides a day.
///
/// Candles are aligned to the Unix epoch, so every day (UTC) starts with a new candle.
///
/// The interval decides two limits. Ticks of one microsecond are ordered by sequence number if their numbers span less than
/// 2³⁷ (up to one minute), 2²⁶ (up to one hour) or 2²¹ (longer). A candle counts up to 2³⁰ − 1 ticks if the interval is a
/// number of minutes, and 2²² − 1 otherwise; see [`max_count`](Self::max_count).
///
/// ```
/// use candle_core::{Interval, Timestamp};
///
/// let interval = Interval::minutes(5)?;
/// let at = Timestamp::from_seconds(1_742_944_199).unwrap();
/// assert_eq!(interval.open_time(at).to_string(), "2025-03-25T23:05:00Z");
/// assert_eq!(interval.close_time(at).to_string(), "2025-03-25T23:10:00Z");
/// assert!(Interval::minutes(7).is_err()); // does not divide a day
/// # Ok::<(), candle_core::InvalidInterval>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    seconds: u32,
    /// The length of the interval in microseconds, stored because every tick needs it.
    micros: i64,
}

const SECONDS_PER_MINUTE: u32 = 60;
const SECONDS_PER_HOUR: u32 = 3_600;
const SECONDS_PER_DAY: u32 = 86_400;

impl Interval {
    /// One second, the shortest interval.
    pub const SECOND: Self = Self::valid(1);
    /// One minute, the default.
    pub const MINUTE: Self = Self::valid(SECONDS_PER_MINUTE);
    /// One hour.
    pub const HOUR: Self = Self::valid(SECONDS_PER_HOUR);
    /// One day, the longest interval.
    pub const DAY: Self = Self::valid(SECONDS_PER_DAY);

    const fn valid(seconds: u32) -> Self {
        Self { seconds, micros: seconds as i64 * 1_000_000 }
    }

    /// Creates an interval of `seconds` seconds.
    ///
    /// # Errors
    /// Returns [`InvalidInterval`] unless the interval divides a day.
    pub const fn seconds(seconds: u32) -> Result<Self, InvalidInterval> {
        if seconds == 0 || SECONDS_PER_DAY % seconds != 0 {
            return Err(InvalidInterval { seconds });
        }
        Ok(Self::valid(seconds))
    }

    /// Creates an interval of `minutes` minutes.
    ///
    /// # Errors
    /// Returns [`InvalidInterval`] unless the interval divides a day.
    pub const fn minutes(minutes: u32) -> Result<Self, InvalidInterval> {
        Self::seconds(minutes.saturating_mul(SECONDS_PER_MINUTE))
    }

    /// Creates an interval of `hours` hours.
    ///
    /// # Errors
    /// Returns [`InvalidInterval`] unless the interval divides a day.
    pub const fn hours(hours: u32) -> Result<Self, InvalidInterval> {
        Self::seconds(hours.saturating_mul(SECONDS_PER_HOUR))
    }

    /// Returns the number of seconds.
    pub const fn as_seconds(self) -> u32 {
        self.seconds
    }

    /// Returns the interval as a duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.seconds as u64)
    }

    /// Returns the open time of the candle that contains `at`: `at`, rounded down to a multiple of the interval.
    pub const fn open_time(self, at: Timestamp) -> Timestamp {
        self.open(at).start()
    }

    /// Returns the close time of the candle that contains `at`, which is the open time of the next candle. Cut to
    /// [`Timestamp::MAX`].
    pub const fn close_time(self, at: Timestamp) -> Timestamp {
        self.open_time(at).saturating_add(self.micros)
    }

    /// Returns the largest count of a candle of this interval. Further ticks still update prices and volumes.
    pub const fn max_count(self) -> u32 {
        if self.is_minutes() { (1 << 30) - 1 } else { (1 << 22) - 1 }
    }

    /// Returns true if the interval is a whole number of minutes.
    #[inline]
    pub(crate) const fn is_minutes(self) -> bool {
        self.seconds % SECONDS_PER_MINUTE == 0
    }

    #[inline]
    pub(crate) const fn micros(self) -> i64 {
        self.micros
    }

    /// Returns the open time of the candle that contains `at`.
    #[inline]
    #[expect(clippy::cast_sign_loss, reason = "no time is before `Timestamp::MIN`, and no interval is negative")]
    pub(crate) const fn open(self, at: Timestamp) -> OpenTime {
        let micros = at.micros_since(Timestamp::MIN) as u64;
        // A division by a constant takes a third of the time of any other.
        if self.seconds == Self::MINUTE.seconds {
            OpenTime(micros / Self::MINUTE.micros as u64 * Self::MINUTE.seconds as u64)
        } else {
            OpenTime(micros / self.micros as u64 * self.seconds as u64)
        }
    }

    /// Returns the number of the candle that opens at `open`, counted from the first one of the year 1.
    #[inline]
    pub(crate) const fn number(self, open: OpenTime) -> u64 {
        if self.seconds == Self::MINUTE.seconds {
            open.0 / Self::MINUTE.seconds as u64
        } else {
            open.0 / self.seconds as u64
        }
    }
}

/// The default: one minute.
impl Default for Interval {
    fn default() -> Self {
        Self::MINUTE
    }
}

/// Writes the interval as exchanges do: `1s`, `5m`, `1h`, `1d`.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(SECONDS_PER_DAY, "d"), (SECONDS_PER_HOUR, "h"), (SECONDS_PER_MINUTE, "m")];
        let unit = units.into_iter().find(|(seconds, _)| self.seconds % seconds == 0);
        let (seconds, name) = unit.unwrap_or((1, "s"));
        write!(f, "{}{name}", self.seconds / seconds)
    }
}

/// The start of a candle, in seconds since the start of the year 1. Every interval divides a day, so its candles start at
/// whole multiples of it, counted from there as well as from the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OpenTime(pub(crate) u64);

impl OpenTime {
    /// The latest start of a candle: the last second of the year 9999.
    pub(crate) const MAX: Self = Interval::SECOND.open(Timestamp::MAX);

    #[inline]
    #[expect(clippy::cast_possible_wrap, reason = "there are fewer than 2^39 seconds")]
    pub(crate) const fn start(self) -> Timestamp {
        Timestamp::after_first(self.0 as i64 * 1_000_000)
    }
}

/// The error of an interval that does not divide a day.
///
/// ```
/// let error = candle_core::Interval::seconds(7).unwrap_err();
/// assert_eq!(error.to_string(), "an interval of 7 seconds does not divide a day; 1 to 86400 seconds are expected, such as 60 or 300");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidInterval {
    /// The number of seconds.
    pub seconds: u32,
}

impl fmt::Display for InvalidInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds;
        write!(
            f,
            "an interval of {seconds} seconds does not divide a day; 1 to 86400 seconds are expected, such as 60 or 300"
        )
    }
}

impl std::error::Error for InvalidInterval {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_intervals_are_the_96_divisors_of_a_day() {
        let intervals: Vec<_> = (0..=100_000).filter_map(|seconds| Interval::seconds(seconds).ok()).collect();
        assert_eq!(intervals.len(), 96);
        assert_eq!((intervals[0], intervals[95]), (Interval::SECOND, Interval::DAY));
        for interval in intervals {
            // Aligned to the epoch, and to the first and last microsecond of time.
            assert_eq!(interval.open_time(Timestamp::EPOCH), Timestamp::EPOCH);
            assert_eq!(interval.open_time(Timestamp::MIN), Timestamp::MIN);
            let before = Timestamp::EPOCH.saturating_add(-1);
            assert_eq!(interval.open_time(before).as_micros(), -interval.micros());
            assert_eq!(interval.close_time(before), Timestamp::EPOCH);
            assert_eq!(
                interval.open_time(Timestamp::MAX).as_micros() + interval.micros(),
                Timestamp::MAX.as_micros() + 1
            );
            assert_eq!(interval.close_time(Timestamp::MAX), Timestamp::MAX);
        }
        for overflowing in [Interval::minutes(u32::MAX), Interval::hours(u32::MAX), Interval::hours(48)] {
            assert!(overflowing.is_err());
        }
    }

    #[test]
    fn intervals_are_written_as_exchanges_do() {
        let text = [1, 90, 60, 300, 3_600, 14_400, 5_400, 86_400].map(|s| Interval::seconds(s).unwrap().to_string());
        assert_eq!(text, ["1s", "90s", "1m", "5m", "1h", "4h", "90m", "1d"]);
    }
}
