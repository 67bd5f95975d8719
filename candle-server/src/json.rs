//! Candles as JSON.

use candle_core::{Coverage, CoverageWindow, Latest, Summary, Timestamp, WindowCandle};

use crate::engine::status::Status;

/// What a history says of its moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// `now` on the candles' clock.
    pub now: Timestamp,
    /// How fresh the history is then.
    pub status: Status,
    /// Which minutes the feed covered.
    pub coverage: CoverageWindow,
}

/// Begins a history with what hardly ever changes: `{"id":...,"description":...`.
pub fn instrument(out: &mut Vec<u8>, id: &str, description: Option<&str>) {
    out.extend_from_slice(b"{\"id\":");
    string(out, id);
    out.extend_from_slice(b",\"description\":");
    optional(out, description, string);
}

/// Goes on with what changes from read to read without a tick: `,"views":...,"asOf":...`.
pub fn reading(out: &mut Vec<u8>, views: u64, now: Timestamp) {
    self::views(out, views);
    out.extend_from_slice(b",\"asOf\":");
    seconds(out, now);
}

/// Goes on with how fresh it is: `,"lastQuoteTimestamp":...,"status":...`.
pub fn freshness(out: &mut Vec<u8>, last_time: Option<Timestamp>, status: Status) {
    out.extend_from_slice(b",\"lastQuoteTimestamp\":");
    optional(out, last_time, seconds);
    out.extend_from_slice(b",\"status\":\"");
    out.extend_from_slice(status.name().as_bytes());
    out.push(b'"');
}

/// Appends what changed in a history: what goes around its candles, and the one that is new or not what it was.
pub fn change(out: &mut Vec<u8>, id: &str, latest: &Latest, moment: Moment, changed: Option<WindowCandle>) {
    out.extend_from_slice(b"{\"id\":");
    string(out, id);
    reading(out, latest.views, moment.now);
    freshness(out, latest.last_time(), moment.status);
    if let Some(changed) = changed {
        out.extend_from_slice(b",\"candle\":");
        candle(out, changed, moment.coverage.of(changed.minute));
    }
    out.push(b'}');
}

/// Appends an array, each item by `each`.
pub fn array<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, mut each: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

/// Appends one candle of a minute that the feed covered so far.
pub fn candle(out: &mut Vec<u8>, candle: WindowCandle, coverage: Coverage) {
    out.extend_from_slice(b"{\"openTimestamp\":");
    seconds(out, candle.minute.start());
    out.extend_from_slice(b",\"openPrice\":");
    number(out, candle.open);
    out.extend_from_slice(b",\"highPrice\":");
    number(out, candle.high);
    out.extend_from_slice(b",\"lowPrice\":");
    number(out, candle.low);
    out.extend_from_slice(b",\"closePrice\":");
    number(out, candle.close);
    out.extend_from_slice(b",\"closeTimestamp\":");
    seconds(out, candle.minute.end());
    out.extend_from_slice(b",\"volume\":");
    number(out, candle.volume);
    out.extend_from_slice(b",\"quotes\":");
    integer(out, candle.count);
    out.extend_from_slice(b",\"state\":\"");
    out.extend_from_slice(candle.state.name().as_bytes());
    out.extend_from_slice(if candle.filled { b"\",\"filled\":true" } else { b"\",\"filled\":false" });
    out.extend_from_slice(b",\"coverage\":\"");
    out.extend_from_slice(coverage.name().as_bytes());
    out.extend_from_slice(b"\"}");
}

/// Appends one candle with its instrument's id, as an export has it.
pub fn exported(out: &mut Vec<u8>, id: &str, exported: WindowCandle, coverage: Coverage) {
    out.extend_from_slice(b"{\"id\":");
    string(out, id);
    let start = out.len();
    candle(out, exported, coverage);
    // The candle's own brace becomes the comma between.
    out[start] = b',';
}

/// Appends one line of the catalogue but for its views and the closing brace.
pub fn summary(out: &mut Vec<u8>, summary: &Summary) {
    instrument(out, summary.id.as_str(), summary.description.as_deref());
    out.extend_from_slice(b",\"lastPrice\":");
    optional(out, summary.last_price, number);
}

/// Appends the views of a line of the catalogue.
pub fn views(out: &mut Vec<u8>, views: u64) {
    out.extend_from_slice(b",\"views\":");
    integer(out, views);
}

/// Appends the `after` of the next page.
pub fn next(out: &mut Vec<u8>, next: Option<&str>) {
    out.extend_from_slice(b",\"next\":");
    optional(out, next, string);
}

fn optional<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends a string with its quotes, escaped.
pub fn string(out: &mut Vec<u8>, text: &str) {
    // Writing a string into memory has nothing to fail on.
    let _ = serde_json::to_writer(out, text);
}

fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends the shortest decimal that reads back as the same finite number, whole ones without a fraction.
pub(crate) fn number(out: &mut Vec<u8>, value: f64) {
    /// Above it the shortest form has an exponent, and integers are no longer exact.
    const WHOLE: f64 = 1e15;
    match ten_thousandths(value) {
        Some(units) => {
            if value < 0.0 {
                out.push(b'-');
            }
            decimal::<TEN_THOUSAND>(out, units);
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        None if value.trunc() == value && value.abs() < WHOLE => integer(out, value as i64),
        None => out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes()),
    }
}

/// Four decimals: what most prices are quoted in at most.
const TEN_THOUSAND: u64 = 10_000;

/// How many ten-thousandths of magnitude `value` has, if it is the number nearest to so many.
///
/// Then they are its shortest decimal: below 2^50 units no two numbers of units share a nearest number, so that no other
/// decimal of four places reads back as this one, and one of more places is longer. It takes half the time of the general
/// way.
fn ten_thousandths(value: f64) -> Option<u64> {
    const MOST: f64 = (1_u64 << 50) as f64;
    let magnitude = value.abs();
    if magnitude * (TEN_THOUSAND as f64) >= MOST {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and below 2^50")]
    let units = (magnitude * TEN_THOUSAND as f64 + 0.5) as u64;
    (units as f64 / TEN_THOUSAND as f64 == magnitude).then_some(units)
}

/// Appends `units` of which `ONE`, a power of ten, make a whole, without zeros at the end.
fn decimal<const ONE: u64>(out: &mut Vec<u8>, units: u64) {
    integer(out, units / ONE);
    let fraction = units % ONE;
    if fraction > 0 {
        // One digit more keeps the zeros in front; the point takes its place.
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(ONE + fraction).as_bytes();
        let end = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        out.push(b'.');
        out.extend_from_slice(&digits[1..end]);
    }
}

/// Appends a time as seconds since the epoch, to the microsecond.
pub(crate) fn seconds(out: &mut Vec<u8>, at: Timestamp) {
    const MICROS: u64 = 1_000_000;
    let micros = at.as_micros();
    if micros < 0 {
        out.push(b'-');
    }
    decimal::<MICROS>(out, micros.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written<T>(write: impl FnOnce(&mut Vec<u8>, T), value: T) -> String {
        let mut out = Vec::new();
        write(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_exact_to_the_microsecond() {
        let at = |micros| written(seconds, Timestamp::from_micros(micros).unwrap());
        assert_eq!(at(1_629_650_270_250_000), "1629650270.25");
        assert_eq!(at(1_742_944_020_000_001), "1742944020.000001");
        assert_eq!(at(60_000_000), "60");
        assert_eq!(at(-1), "-0.000001");
    }

    #[test]
    fn numbers_are_the_shortest_that_read_back() {
        for (value, text) in [(12.5, "12.5"), (0.0, "0"), (87_232.0, "87232"), (0.1 + 0.2, "0.30000000000000004")] {
            assert_eq!(written(number, value), text);
        }
        for value in [1e300, 5e-324, 1e15, 123_456_789_012_345_680.0, -37.63] {
            assert_eq!(written(number, value).parse::<f64>().unwrap(), value);
        }
    }

    proptest! {
        #[test]
        fn numbers_of_few_decimals_are_what_the_general_way_writes(
            units in -(1_i64 << 51)..1_i64 << 51,
            places in 0..8_i32,
            steps in -2..=2_i64,
        ) {
            // The number nearest to a short decimal, and its neighbours.
            let near = units as f64 / 10_f64.powi(places);
            let value = f64::from_bits(near.to_bits().wrapping_add_signed(steps));
            prop_assume!(value.is_finite());
            let text = written(number, value);
            if (1e-4..1e15).contains(&value.abs()) {
                let general = zmij::Buffer::new().format_finite(value).to_owned();
                prop_assert_eq!(&text, general.strip_suffix(".0").unwrap_or(&general));
            }
            prop_assert_eq!(text.parse::<f64>().unwrap(), value);
        }
    }
}
