//! Exports the candles of a store as JSON: `candle-server store export`.

use std::io::{self, Write};
use std::path::Path;

use candle_core::{Coverage, Gaps, Timestamp, WindowCandle};
use serde::{Serialize, Serializer};

use crate::error::{StoreError, StoreErrorKind};
use crate::recover::read;

/// Writes the candles of a store to `out`, one JSON object per line. The store file is not changed.
///
/// A line contains the instrument's `id` and the fields of a candle in the server's responses. Instruments are sorted
/// by the bytes of their ids, and candles by time. If the reader of `out` closes the pipe early, the function returns
/// without an error.
///
/// # Errors
/// Returns a [`StoreError`] if the file can't be read, another process uses the file, or `out` can't be written.
pub fn export(path: &Path, mut out: impl Write) -> Result<(), StoreError> {
    let state = read(path)?;
    let coverage = state.coverage.window(state.now.unwrap_or(Timestamp::EPOCH));
    let mut line = Vec::new();
    let written = state.each_instrument(|id, history, now| {
        for candle in history.candles(now, Gaps::Omitted) {
            line.clear();
            serde_json::to_writer(&mut line, &Line::new(id, candle, coverage.of(candle.open_time.minute())))?;
            line.push(b'\n');
            out.write_all(&line)?;
        }
        Ok(())
    });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(StoreError::new(path, StoreErrorKind::Output(error)))
        }
        _ => Ok(()),
    }
}

/// One line of the export.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    id: &'a str,
    #[serde(serialize_with = "seconds")]
    open_timestamp: Timestamp,
    #[serde(serialize_with = "number")]
    open_price: f64,
    #[serde(serialize_with = "number")]
    high_price: f64,
    #[serde(serialize_with = "number")]
    low_price: f64,
    #[serde(serialize_with = "number")]
    close_price: f64,
    #[serde(serialize_with = "seconds")]
    close_timestamp: Timestamp,
    #[serde(serialize_with = "number")]
    volume: f64,
    quotes: u32,
    state: &'static str,
    filled: bool,
    coverage: &'static str,
}

impl<'a> Line<'a> {
    fn new(id: &'a str, candle: WindowCandle, coverage: Coverage) -> Self {
        Self {
            id,
            open_timestamp: candle.open_time,
            open_price: candle.open,
            high_price: candle.high,
            low_price: candle.low,
            close_price: candle.close,
            close_timestamp: candle.close_time,
            volume: candle.volume,
            quotes: candle.count,
            state: candle.state.name(),
            filled: candle.filled,
            coverage: coverage.name(),
        }
    }
}

/// Serializes a number as the shortest decimal that parses to the same number. Whole numbers have no fraction.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    /// The value from which a whole number is written with an exponent.
    const EXPONENT_FROM: f64 = 1e15;
    if value.fract() == 0.0 && value.abs() < EXPONENT_FROM {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return serializer.serialize_i64(*value as i64);
    }
    serializer.serialize_f64(*value)
}

/// Serializes a time as seconds since the epoch, with a fraction only if the time is not a whole second.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn seconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    const MICROS: i64 = 1_000_000;
    let (seconds, micros) = (time.as_micros() / MICROS, time.as_micros() % MICROS);
    if micros == 0 {
        return serializer.serialize_i64(seconds);
    }
    // Only the last minute of the year 9999 ends inside a second. An f64 can't represent that time exactly.
    let text = serde_json::value::RawValue::from_string(format!("{seconds}.{micros:06}"));
    text.map_err(serde::ser::Error::custom)?.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use candle_core::{Aggregator, RecordContext, Tick, Unlisted};

    use super::*;

    /// Returns the exported line of one candle. The candle consists of ticks with these prices and sizes at `time`.
    fn line(id: &str, time: Timestamp, ticks: &[(f64, f64)]) -> String {
        let aggregator = Aggregator::new(
            candle_core::Config::default()
                .with_rules(candle_core::Rules::default().with_prices(candle_core::Prices::Any)),
        );
        let context = RecordContext { unlisted: Unlisted::List, ..RecordContext::from(time) };
        for (price, size) in ticks {
            assert!(aggregator.record(id, &Tick::new(time, *price).with_size(*size), context).is_accepted());
        }
        let history = aggregator.history(id).unwrap();
        let candle = history.candles(time, Gaps::Omitted).next().unwrap();
        serde_json::to_string(&Line::new(id, candle, Coverage::Partial)).unwrap()
    }

    #[test]
    fn a_line_has_the_id_and_the_fields_of_a_candle_in_a_response() {
        let time = Timestamp::from_seconds(1_700_000_000).unwrap();
        assert_eq!(
            line("q\"uote\\é", time, &[(12.5, 1.0), (903.0, 0.0001), (-0.5, 2.0), (0.1 + 0.2, 1e12)]),
            r#"{"id":"q\"uote\\é","openTimestamp":1699999980,"openPrice":12.5,"highPrice":903,"lowPrice":-0.5,"closePrice":0.30000000000000004,"closeTimestamp":1700000040,"volume":1000000000003.0001,"quotes":4,"state":"forming","filled":false,"coverage":"partial"}"#
        );
    }

    #[test]
    fn numbers_are_the_shortest_that_read_back_and_whole_ones_have_no_fraction() {
        let time = Timestamp::from_seconds(60).unwrap();
        assert_eq!(
            line(
                "4",
                time,
                &[(1e16, 0.0), (1.234_567_890_123_456_8e17, 0.0), (5e-324, 0.0), (999_999_999_999_999.0, 0.0)]
            ),
            r#"{"id":"4","openTimestamp":60,"openPrice":1e+16,"highPrice":1.2345678901234568e+17,"lowPrice":5e-324,"closePrice":999999999999999,"closeTimestamp":120,"volume":0,"quotes":4,"state":"forming","filled":false,"coverage":"partial"}"#
        );
    }

    #[test]
    fn the_last_minute_of_the_year_9999_ends_with_its_last_microsecond() {
        let line = line("4", Timestamp::MAX, &[(1.0, 0.0)]);
        assert!(line.contains(r#""closeTimestamp":253402300799.999999,"#), "{line}");
    }
}
