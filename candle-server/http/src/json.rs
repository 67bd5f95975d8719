//! Writes histories and the listing as JSON.

pub(crate) mod lightweight;
mod number;

use candle_core::{Coverage, Summary, Timestamp, WindowCandle};

use number::{integer, number, seconds};

/// Appends the start of a history: `{"id":...,"description":...`. These fields rarely change.
pub fn instrument(out: &mut Vec<u8>, id: &str, description: Option<&str>) {
    out.extend_from_slice(b"{\"id\":");
    string(out, id);
    out.extend_from_slice(b",\"description\":");
    optional(out, description, string);
}

/// Appends `,"views":...,"asOf":...`. These fields change with each read, even without a new tick.
pub fn views_and_time(out: &mut Vec<u8>, views: u64, now: Timestamp) {
    self::views(out, views);
    out.extend_from_slice(b",\"asOf\":");
    seconds(out, now);
}

/// Appends `,"lastQuoteTimestamp":...,"status":...`.
pub fn freshness(out: &mut Vec<u8>, last_time: Option<Timestamp>, status: &str) {
    out.extend_from_slice(b",\"lastQuoteTimestamp\":");
    optional(out, last_time, seconds);
    out.extend_from_slice(b",\"status\":\"");
    out.extend_from_slice(status.as_bytes());
    out.push(b'"');
}

/// Appends one candle. `coverage` states if the feed was up for all of its minute.
pub fn candle(out: &mut Vec<u8>, candle: WindowCandle, coverage: Coverage) {
    out.extend_from_slice(b"{\"openTimestamp\":");
    seconds(out, candle.open_time);
    out.extend_from_slice(b",\"openPrice\":");
    number(out, candle.open);
    out.extend_from_slice(b",\"highPrice\":");
    number(out, candle.high);
    out.extend_from_slice(b",\"lowPrice\":");
    number(out, candle.low);
    out.extend_from_slice(b",\"closePrice\":");
    number(out, candle.close);
    out.extend_from_slice(b",\"closeTimestamp\":");
    seconds(out, candle.close_time);
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

/// Appends one instrument of the listing, without the field `views` and without the closing brace.
pub fn summary(out: &mut Vec<u8>, summary: &Summary) {
    instrument(out, summary.id.as_str(), summary.description.as_deref());
    out.extend_from_slice(b",\"lastPrice\":");
    optional(out, summary.last_price, number);
}

/// Appends the field `views`.
pub fn views(out: &mut Vec<u8>, views: u64) {
    out.extend_from_slice(b",\"views\":");
    integer(out, views);
}

/// Appends the field `next`, which clients send as `after` to get the next page.
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

/// Appends `text` as a JSON string, escaped and in quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    // A write to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}
