//! Writes candles as items of the chart library "lightweight-charts".
//!
//! A chart passes the items to `series.setData([item, ...])` or `series.update(item)`.
//!
//! Times are seconds since the epoch, strictly ascending. An item with only a time is a minute without quotes, which
//! the library draws as white space.

use candle_core::{Gaps, WindowCandle};

use super::number::{number, seconds};

/// Appends one item. With [`Gaps::Omitted`], the item of a minute without quotes has only a time.
pub(crate) fn item(out: &mut Vec<u8>, candle: &WindowCandle, gaps: Gaps) {
    out.extend_from_slice(b"{\"time\":");
    seconds(out, candle.open_time);
    if !(candle.filled && gaps == Gaps::Omitted) {
        let values = [
            (&b",\"open\":"[..], candle.open),
            (b",\"high\":", candle.high),
            (b",\"low\":", candle.low),
            (b",\"close\":", candle.close),
            (b",\"volume\":", candle.volume),
        ];
        for (name, value) in values {
            out.extend_from_slice(name);
            number(out, value);
        }
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use candle_core::{Aggregator, Tick, Timestamp};

    use super::*;

    #[test]
    fn a_filled_candle_has_only_a_time_if_gaps_are_omitted() {
        let aggregator = Aggregator::default();
        aggregator.list("4", None).unwrap();
        assert!(aggregator.record("4", &Tick::new(Timestamp::EPOCH, 9.5), Timestamp::EPOCH).is_accepted());
        let now = Timestamp::from_seconds(60).unwrap();
        let mut out = Vec::new();
        for candle in aggregator.history("4").unwrap().candles(now, Gaps::Filled) {
            item(&mut out, &candle, Gaps::Omitted);
        }
        assert_eq!(out, br#"{"time":0,"open":9.5,"high":9.5,"low":9.5,"close":9.5,"volume":0}{"time":60}"#);
    }
}
