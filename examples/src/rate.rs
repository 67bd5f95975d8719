//! Rates and spans of time as people write them: `100/s`, `5000/min`, `30s`, `500ms`.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The fastest rate there is, events a second; a gap below a microsecond is beyond any timer.
pub const MAX_PER_SECOND: f64 = 1_000_000.0;

/// The longest gap of a rate and the longest span; sums of a few of them stay far from any overflow.
pub const MAX_SPAN: Duration = Duration::from_hours(24);

/// How often something happens, kept as the gap between two events.
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
    /// The time between two events; never zero.
    pub const fn gap(self) -> Duration {
        self.0
    }

    /// Events a second.
    pub const fn per_second(self) -> f64 {
        1.0 / self.0.as_secs_f64()
    }
}

/// A text that is not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseRateError;

impl fmt::Display for ParseRateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a rate reads 100/s or 5000/min, at most {MAX_PER_SECOND}/s and at least one a day")
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
        bounded_span(seconds / count).map(Self).ok_or(ParseRateError)
    }
}

/// A text that is not a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseSpanError;

impl fmt::Display for ParseSpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a span of time reads 30s, 500ms or 2min, at most one day")
    }
}

impl Error for ParseSpanError {}

/// Reads `30s`, `500ms`, `2min` or `0`.
///
/// # Errors
///
/// The text is none of these, or more than [`MAX_SPAN`].
pub fn parse_span(text: &str) -> Result<Duration, ParseSpanError> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (count, unit) = text.split_at(unit_at);
    let count: f64 = count.parse().map_err(|_| ParseSpanError)?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        "" if count == 0.0 => 0.0,
        _ => return Err(ParseSpanError),
    };
    bounded_span(count * seconds).ok_or(ParseSpanError)
}

fn bounded_span(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|span| *span <= MAX_SPAN)
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
    fn a_span_is_a_count_and_a_unit_or_zero() {
        for (text, millis) in [("30s", 30_000), ("500ms", 500), ("2min", 120_000), ("0.5s", 500), ("0", 0), ("0s", 0)] {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "30", "-1s", "NaN", "1e9s", "25h", "1441min", "1s2"] {
            assert_eq!(parse_span(text), Err(ParseSpanError), "{text}");
        }
    }
}
