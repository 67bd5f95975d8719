//! Candles as JSON.

use candle_core::{Gaps, History, Summary, Timestamp, WindowCandle};

use crate::market::Status;

/// About the bytes of one candle.
const CANDLE_BYTES: usize = 240;
/// About the bytes of a history of 30.
const HISTORY_BYTES: usize = 30 * CANDLE_BYTES + 400;

/// What a history says of its moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// `now` on the candles' clock.
    pub now: Timestamp,
    /// How fresh the history is then.
    pub status: Status,
}

/// Appends one history, as `GET /instruments/{id}` answers it.
pub fn history(out: &mut Vec<u8>, id: &str, history: &History, gaps: Gaps, moment: Moment) {
    out.reserve(HISTORY_BYTES);
    out.extend_from_slice(b"{\"id\":");
    string(out, id);
    out.extend_from_slice(b",\"description\":");
    optional(out, history.description.as_deref(), string);
    out.extend_from_slice(b",\"views\":");
    integer(out, history.views);
    out.extend_from_slice(b",\"asOf\":");
    seconds(out, moment.now);
    out.extend_from_slice(b",\"lastQuoteTimestamp\":");
    optional(out, history.last_time(), seconds);
    out.extend_from_slice(b",\"status\":");
    string(out, moment.status.name());
    out.extend_from_slice(b",\"candles\":");
    array(out, history.candles(moment.now, gaps), candle);
    out.push(b'}');
}

fn candle(out: &mut Vec<u8>, candle: WindowCandle) {
    let start = candle.minute.start();
    let prices = [
        (&b"{\"openTimestamp\":"[..], None),
        (b",\"openPrice\":", Some(candle.open)),
        (b",\"highPrice\":", Some(candle.high)),
        (b",\"lowPrice\":", Some(candle.low)),
        (b",\"closePrice\":", Some(candle.close)),
    ];
    for (name, price) in prices {
        out.extend_from_slice(name);
        match price {
            Some(price) => number(out, price),
            None => seconds(out, start),
        }
    }
    out.extend_from_slice(b",\"closeTimestamp\":");
    seconds(out, candle.minute.end());
    out.extend_from_slice(b",\"volume\":");
    number(out, candle.volume);
    out.extend_from_slice(b",\"quotes\":");
    integer(out, candle.count);
    out.extend_from_slice(b",\"state\":");
    string(out, candle.state.name());
    out.extend_from_slice(if candle.filled { b",\"filled\":true}" } else { b",\"filled\":false}" });
}

/// Appends one candle with its instrument's id, as an export has it.
pub fn exported(out: &mut Vec<u8>, id: &str, exported: WindowCandle) {
    out.extend_from_slice(b"{\"id\":");
    string(out, id);
    let start = out.len();
    candle(out, exported);
    // The candle's own brace becomes the comma between.
    out[start] = b',';
}

/// Appends a page of the catalogue, as `GET /instruments` answers it; `next` is the `after` of the next page.
pub fn listing(out: &mut Vec<u8>, page: &[Summary], next: Option<&str>) {
    out.extend_from_slice(b"{\"instruments\":");
    array(out, page.iter(), |out, summary| {
        out.extend_from_slice(b"{\"id\":");
        string(out, summary.id.as_str());
        out.extend_from_slice(b",\"description\":");
        optional(out, summary.description.as_deref(), string);
        out.extend_from_slice(b",\"lastPrice\":");
        optional(out, summary.last_price, number);
        out.extend_from_slice(b",\"views\":");
        integer(out, summary.views);
        out.push(b'}');
    });
    out.extend_from_slice(b",\"next\":");
    optional(out, next, string);
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
fn number(out: &mut Vec<u8>, value: f64) {
    /// Above it the shortest form has an exponent, and integers are no longer exact.
    const WHOLE: f64 = 1e15;
    if value.trunc() == value && value.abs() < WHOLE {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        integer(out, value as i64);
    } else {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
}

/// Appends a time as seconds since the epoch, to the microsecond.
fn seconds(out: &mut Vec<u8>, at: Timestamp) {
    const MICROS: u64 = 1_000_000;
    let micros = at.as_micros();
    if micros < 0 {
        out.push(b'-');
    }
    let magnitude = micros.unsigned_abs();
    integer(out, magnitude / MICROS);
    let fraction = magnitude % MICROS;
    if fraction > 0 {
        let digits = format!(".{fraction:06}");
        out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Aggregator, Tick};

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

    #[test]
    fn a_history_has_the_fields_of_the_contract() {
        let aggregator = Aggregator::default();
        aggregator.list("4", None).unwrap();
        let now = Timestamp::from_micros(1_629_648_539_500_000).unwrap();
        for (price, micros_before) in [(9.38, 50_000_000), (18.39, 40_000_000), (9.1, 30_000_000), (12.5, 0)] {
            assert!(aggregator.record("4", &Tick::new(now.saturating_add(-micros_before), price), now).is_accepted());
        }
        let read = aggregator.view("4").unwrap();
        let later = now.saturating_add(60_250_000);
        let moment = Moment { now: later, status: Status::Live };
        let text = written(|out, gaps| history(out, "4", &read, gaps, moment), Gaps::Filled);
        assert_eq!(
            text,
            concat!(
                r#"{"id":"4","description":null,"views":1,"asOf":1629648599.75,"lastQuoteTimestamp":1629648539.5,"#,
                r#""status":"live","candles":[{"openTimestamp":1629648480,"openPrice":9.38,"highPrice":18.39,"#,
                r#""lowPrice":9.1,"closePrice":12.5,"closeTimestamp":1629648540,"volume":0,"quotes":4,"#,
                r#""state":"final","filled":false},{"openTimestamp":1629648540,"openPrice":12.5,"highPrice":12.5,"#,
                r#""lowPrice":12.5,"closePrice":12.5,"closeTimestamp":1629648600,"volume":0,"quotes":0,"#,
                r#""state":"forming","filled":true}]}"#
            )
        );
    }

    #[test]
    fn whatever_a_description_holds_is_escaped() {
        let aggregator = Aggregator::default();
        aggregator.list("a\"\\</script>", Some("\"\\\u{1}</script>")).unwrap();
        let text = written(|out, page: Vec<Summary>| listing(out, &page, Some("x\"")), aggregator.page(None, "", 9));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["instruments"][0]["description"], "\"\\\u{1}</script>");
        assert_eq!(value["instruments"][0]["lastPrice"], serde_json::Value::Null);
        assert_eq!(value["next"], "x\"");
    }
}
