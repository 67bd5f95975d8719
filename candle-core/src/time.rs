//! Points in time, and minutes: UTC, integer microseconds, no time zones.

use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime};

/// Microseconds in a minute.
pub(crate) const MICROS_PER_MINUTE: i64 = 60_000_000;

/// The number of candles of the default [`Window`](crate::Window): the forming minute and the 29 before it.
pub const WINDOW_MINUTES: i64 = 30;

/// A point in time: whole microseconds since the Unix epoch, within the years 1 to 9999.
///
/// Within these bounds every date is printable. Arithmetic saturates at the bounds. Text is RFC 3339.
///
/// ```
/// use candle_core::Timestamp;
/// use std::time::{Duration, SystemTime};
///
/// let at = Timestamp::from_micros(1_629_648_467_200_000).unwrap();
/// assert_eq!(at.to_string(), "2021-08-22T16:07:47.2Z");
/// assert_eq!("2021-08-22T18:07:47.2+02:00".parse(), Ok(at));
/// assert_eq!(at + Duration::from_millis(800), Timestamp::from_seconds(1_629_648_468).unwrap());
/// assert!(Timestamp::from(SystemTime::now()) > at);
/// assert_eq!(at.minute().start().as_micros(), 1_629_648_420_000_000);
/// assert_eq!(Timestamp::from_micros(i64::MAX), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "i64", into = "i64"))]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// Returns the point `micros` microseconds after the Unix epoch, or `None` outside the years 1 to 9999.
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 {
            return None;
        }
        Some(Self(micros))
    }

    /// Returns the point `seconds` seconds after the Unix epoch, or `None` outside the years 1 to 9999.
    pub const fn from_seconds(seconds: i64) -> Option<Self> {
        match seconds.checked_mul(1_000_000) {
            Some(micros) => Self::from_micros(micros),
            None => None,
        }
    }

    /// Returns the point `millis` milliseconds after the Unix epoch, or `None` outside the years 1 to 9999.
    pub const fn from_millis(millis: i64) -> Option<Self> {
        match millis.checked_mul(1_000) {
            Some(micros) => Self::from_micros(micros),
            None => None,
        }
    }

    /// Returns the microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns the point `micros` microseconds later, cut to [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    #[must_use]
    pub const fn saturating_add(self, micros: i64) -> Self {
        let moved = self.0.saturating_add(micros);
        if moved < Self::MIN.0 {
            Self::MIN
        } else if moved > Self::MAX.0 {
            Self::MAX
        } else {
            Self(moved)
        }
    }

    /// Returns the point `duration` later, or `None` after the year 9999. Nanoseconds are cut off.
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let micros = i64::try_from(duration.as_micros()).ok()?;
        Self::from_micros(self.0.checked_add(micros)?)
    }

    /// Returns the point `duration` earlier, or `None` before the year 1. Nanoseconds are cut off.
    pub fn checked_sub(self, duration: Duration) -> Option<Self> {
        let micros = i64::try_from(duration.as_micros()).ok()?;
        Self::from_micros(self.0.checked_sub(micros)?)
    }

    /// Returns the time from `earlier` to this point, or zero if `earlier` is later.
    pub fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.micros_since(earlier)).unwrap_or(0))
    }

    /// Returns the minute that contains this point.
    #[inline]
    pub const fn minute(self) -> Minute {
        Minute(self.0.div_euclid(MICROS_PER_MINUTE))
    }

    /// Returns the microseconds from `earlier` to this point. The difference of two points never overflows.
    #[inline]
    pub(crate) const fn micros_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// Returns the microseconds since the start of the minute of this point, 0 to 59,999,999.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "0..60_000_000 fits")]
    pub const fn offset_in_minute(self) -> u32 {
        self.0.rem_euclid(MICROS_PER_MINUTE) as u32
    }

    /// Returns the point `micros` microseconds after [`MIN`](Self::MIN). The result must not be after [`MAX`](Self::MAX).
    #[inline]
    pub(crate) const fn after_first(micros: i64) -> Self {
        let at = Self(Self::MIN.0 + micros);
        debug_assert!(at.0 <= Self::MAX.0);
        at
    }
}

/// Returns the point `duration` later, cut to [`Timestamp::MAX`]. Nanoseconds are cut off.
impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.checked_add(duration).unwrap_or(Self::MAX)
    }
}

/// Returns the point `duration` earlier, cut to [`Timestamp::MIN`]. Nanoseconds are cut off.
impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        self.checked_sub(duration).unwrap_or(Self::MIN)
    }
}

/// Returns the time between two points, or zero if the second one is later; see [`Timestamp::duration_since`].
impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

/// Rounds down to a microsecond, and cuts to the years 1 to 9999.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self::EPOCH + after,
            Err(before) => {
                let before = before.duration();
                let below = u64::from(before.subsec_nanos() % 1_000 > 0);
                Self::EPOCH - before - Duration::from_micros(below)
            }
        }
    }
}

impl From<Timestamp> for i64 {
    fn from(at: Timestamp) -> Self {
        at.as_micros()
    }
}

impl TryFrom<i64> for Timestamp {
    type Error = TimestampOutOfRange;

    fn try_from(micros: i64) -> Result<Self, TimestampOutOfRange> {
        Self::from_micros(micros).ok_or(TimestampOutOfRange)
    }
}

/// The error of a time outside the years 1 to 9999.
///
/// ```
/// use candle_core::Timestamp;
///
/// let error = Timestamp::try_from(i64::MAX).unwrap_err();
/// assert_eq!(error.to_string(), "the time is outside the years 1 to 9999; microseconds since the Unix epoch are expected");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOutOfRange;

impl std::fmt::Display for TimestampOutOfRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the time is outside the years 1 to 9999; microseconds since the Unix epoch are expected")
    }
}

impl std::error::Error for TimestampOutOfRange {}

/// One minute of UTC time, `[start, start + 60 s)`, numbered from the Unix epoch. The unit of
/// [`Coverage`](crate::Coverage), whatever the interval of the candles.
///
/// ```
/// use candle_core::{Minute, Timestamp};
///
/// let just_before = Timestamp::from_micros(-1).unwrap();
/// assert_eq!(just_before.minute(), Minute::EPOCH.saturating_add(-1));
/// assert_eq!(just_before.minute().end(), Timestamp::EPOCH);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(i64);

impl Minute {
    /// The first minute of the year 1.
    pub const MIN: Self = Timestamp::MIN.minute();
    /// The last minute of the year 9999.
    pub const MAX: Self = Timestamp::MAX.minute();
    /// The minute that starts at the Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// Returns the number of the minute: 0 at the Unix epoch, negative before it.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// Returns the minute with this number, cut to [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    const fn saturating_from(number: i64) -> Self {
        if number < Self::MIN.0 {
            Self::MIN
        } else if number > Self::MAX.0 {
            Self::MAX
        } else {
            Self(number)
        }
    }

    /// Returns the minute `minutes` later, cut to [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    #[must_use]
    pub const fn saturating_add(self, minutes: i64) -> Self {
        Self::saturating_from(self.0.saturating_add(minutes))
    }

    /// Returns the first microsecond of the minute.
    #[inline]
    pub const fn start(self) -> Timestamp {
        Timestamp(self.0 * MICROS_PER_MINUTE)
    }

    /// Returns the first microsecond after the minute. For [`Minute::MAX`], returns the last microsecond of the minute.
    pub const fn end(self) -> Timestamp {
        self.start().saturating_add(MICROS_PER_MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_are_rounded_down_to_a_minute() {
        let at = Timestamp::from_micros(-60_000_001).unwrap();
        assert_eq!(at.minute().number(), -2);
        assert_eq!(at.offset_in_minute(), 59_999_999);
    }

    #[test]
    fn the_bounds_are_whole_years() {
        assert_eq!(Minute::MIN.start(), Timestamp::MIN);
        assert_eq!(Minute::MAX.start().as_micros() + MICROS_PER_MINUTE - 1, Timestamp::MAX.as_micros());
    }

    #[test]
    fn system_times_are_rounded_down() {
        let of = |nanos: i64| {
            let offset = Duration::from_nanos(nanos.unsigned_abs());
            let time = if nanos < 0 { SystemTime::UNIX_EPOCH - offset } else { SystemTime::UNIX_EPOCH + offset };
            Timestamp::from(time).as_micros()
        };
        assert_eq!([-1_001, -1_000, -999, -1, 0, 1, 999, 1_000].map(of), [-2, -1, -1, -1, 0, 0, 0, 1]);
    }

    #[test]
    fn arithmetic_with_durations_saturates_or_is_checked() {
        let (second, ages) = (Duration::from_secs(1), Duration::MAX);
        assert_eq!(Timestamp::EPOCH + second - second, Timestamp::EPOCH);
        assert_eq!((Timestamp::EPOCH + second) - Timestamp::EPOCH, second);
        assert_eq!(Timestamp::EPOCH - (Timestamp::EPOCH + second), Duration::ZERO);
        assert_eq!((Timestamp::EPOCH + ages, Timestamp::EPOCH - ages), (Timestamp::MAX, Timestamp::MIN));
        assert_eq!((Timestamp::MAX.checked_add(second), Timestamp::MIN.checked_sub(second)), (None, None));
        assert_eq!(Timestamp::from_millis(1_500), Timestamp::EPOCH.checked_add(Duration::from_millis(1_500)));
        assert_eq!(Timestamp::from_millis(i64::MAX), None);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.saturating_add(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_add(i64::MIN), Timestamp::MIN);
        assert_eq!(Minute::MAX.saturating_add(1), Minute::MAX);
        assert_eq!(Minute::MAX.end(), Timestamp::MAX);
    }
}
