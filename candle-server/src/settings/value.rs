//! Parses the values of flags.

use std::time::Duration;

use candle_core::Config;

/// The maximum duration that a flag accepts: one day.
const MAX_DURATION: Duration = Duration::from_hours(24);

/// Parses a duration such as `2s`, `500ms` or `1min`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "min" => Some(60.0),
        _ => None,
    };
    let number: Option<f64> = number.parse().ok().filter(|number| *number > 0.0);
    let duration = number.zip(seconds).and_then(|(number, unit)| Duration::try_from_secs_f64(number * unit).ok());
    let duration = duration.filter(|duration| !duration.is_zero() && *duration <= MAX_DURATION);
    duration.ok_or_else(|| "a duration such as 2s, 500ms or 1min is expected, at most 1440min".to_owned())
}

/// Parses the maximum number of instruments.
pub(super) fn instruments(text: &str) -> Result<usize, String> {
    at_most(text, Config::MAX_INSTRUMENTS_LIMIT)
}

/// Parses a number from 1 to `most`.
pub(super) fn at_most(text: &str, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("a number from 1 to {most} is expected"))
}
