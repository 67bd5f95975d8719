//! Points in time and minutes: UTC, integer microseconds, no time zones.

/// Microseconds in a minute.
pub(crate) const MICROS_PER_MINUTE: i64 = 60_000_000;

/// The number of minutes in the window: the forming minute and the 29 before it.
pub const WINDOW_MINUTES: i64 = 30;

/// A point in time: whole microseconds since the Unix epoch, within the years 1 to 9999.
///
/// Within these bounds every date is printable and every minute number is small. Arithmetic saturates at the bounds.
///
/// ```
/// use candle_core::Timestamp;
///
/// let at = Timestamp::from_micros(1_629_648_467_200_000).unwrap();
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

    /// Returns true if `minute` contains this point.
    #[inline]
    pub(crate) const fn is_in(self, minute: Minute) -> bool {
        let offset = self.micros_since(minute.start());
        0 <= offset && offset < MICROS_PER_MINUTE
    }

    /// Returns the microseconds since the start of `minute`, 0 to 59,999,999. `minute` must contain this point.
    #[inline]
    pub(crate) const fn offset_in(self, minute: Minute) -> u32 {
        debug_assert!(self.is_in(minute));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..60_000_000 fits")]
        let offset = (self.0 - minute.start().0) as u32;
        offset
    }

    /// Returns the microseconds since the start of the minute of this point, 0 to 59,999,999.
    #[inline]
    pub const fn offset_in_minute(self) -> u32 {
        self.offset_in(self.minute())
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

/// One minute of UTC time, `[start, start + 60 s)`, numbered from the Unix epoch.
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

    /// Returns the minute `minutes` after [`MIN`](Self::MIN). The result must not be after [`MAX`](Self::MAX).
    #[inline]
    #[expect(clippy::cast_possible_wrap, reason = "there are fewer than 2^33 minutes")]
    pub(crate) const fn after_first(minutes: u64) -> Self {
        let minute = Self(Self::MIN.0 + minutes as i64);
        debug_assert!(minute.0 <= Self::MAX.0);
        minute
    }

    /// Returns the minute with this number, cut to [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    pub(crate) const fn saturating_from(number: i64) -> Self {
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
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.saturating_add(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_add(i64::MIN), Timestamp::MIN);
        assert_eq!(Minute::MAX.saturating_add(1), Minute::MAX);
        assert_eq!(Minute::MAX.end(), Timestamp::MAX);
    }
}
