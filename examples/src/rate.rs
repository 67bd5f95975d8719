//! Parsing of rates such as `100/s` and `5000/min`, and of durations such as `30s` and `500ms`.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The highest rate, in events per second. No timer is finer than one microsecond.
pub const MAX_PER_SECOND: f64 = 1_000_000.0;

/// The longest time between two events, and the longest duration: sums of a few can't overflow.
pub const MAX_DURATION: Duration = Duration::from_hours(24);

/// The rate of an event, stored as the time between two events.
///
/// ```
/// use examples::rate::Rate;
/// use std::time::Duration;
///
/// let rate: Rate = "5000/min".parse().unwrap();
/// assert_eq!(rate.gap(), Duration::from_millis(12));
/// assert!("often".parse::<Rate>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(Duration);

impl Rate {
    /// Returns the time between two events, which is never zero.
    pub const fn gap(self) -> Duration {
        self.0
    }

    /// Returns the number of events per second.
    pub const fn per_second(self) -> f64 {
        1.0 / self.0.as_secs_f64()
    }
}

/// The error for a text that is not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseRateError;

impl fmt::Display for ParseRateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a rate such as 100/s or 5000/min, at most {MAX_PER_SECOND}/s and at least one event per day"
        )
    }
}

impl Error for ParseRateError {}

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (count, unit) = text.split_once('/').ok_or(ParseRateError)?;
        let count: f64 = count.parse().map_err(|_| ParseRateError)?;
        let seconds = match unit {
            "s" => 1.0,
            "min" => 60.0,
            _ => return Err(ParseRateError),
        };
        if !(count > 0.0 && count / seconds <= MAX_PER_SECOND) {
            return Err(ParseRateError);
        }
        bounded_duration(seconds / count).map(Self).ok_or(ParseRateError)
    }
}

/// The error for a text that is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseDurationError;

impl fmt::Display for ParseDurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a duration such as 30s, 500ms or 2min, at most one day")
    }
}

impl Error for ParseDurationError {}

/// Parses a duration such as `30s`, `500ms`, `2min` or `0`.
///
/// # Errors
///
/// Returns an error if the text has another form or is more than [`MAX_DURATION`].
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (count, unit) = text.split_at(unit_at);
    let count: f64 = count.parse().map_err(|_| ParseDurationError)?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        "" if count == 0.0 => 0.0,
        _ => return Err(ParseDurationError),
    };
    bounded_duration(count * seconds).ok_or(ParseDurationError)
}

fn bounded_duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| *duration <= MAX_DURATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_unit() {
        assert_eq!("100/s".parse::<Rate>().unwrap().gap(), Duration::from_millis(10));
        assert_eq!("0.5/min".parse::<Rate>().unwrap().gap(), Duration::from_mins(2));
    }

    #[test]
    fn no_other_text_is_a_rate() {
        for text in ["", "100", "/s", "0/s", "-1/s", "NaN/s", "inf/s", "1e-300/s", "1000001/s", "100/h", "100/s/s"] {
            assert_eq!(text.parse::<Rate>(), Err(ParseRateError), "{text}");
        }
    }

    #[test]
    fn a_duration_is_a_count_and_a_unit_or_zero() {
        for (text, millis) in [("30s", 30_000), ("500ms", 500), ("2min", 120_000), ("0.5s", 500), ("0", 0), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "30", "-1s", "NaN", "1e9s", "25h", "1441min", "1s2"] {
            assert_eq!(parse_duration(text), Err(ParseDurationError), "{text}");
        }
    }
}
