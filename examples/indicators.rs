//! Feeds closed candles to indicators of the crate `ta`.
//!
//!     cargo run --example indicators

use std::collections::HashMap;
use std::error::Error;

use candle_core::{Aggregator, InstrumentId, State, Tick, Timestamp};
use ta::indicators::{AverageTrueRange, ExponentialMovingAverage};
use ta::{DataItem, Next};

/// The indicators of one instrument.
struct Indicators {
    average: ExponentialMovingAverage,
    range: AverageTrueRange,
}

fn main() -> Result<(), Box<dyn Error>> {
    let aggregator = Aggregator::default();
    let btc = aggregator.list("BTC", None)?;
    let mut indicators: HashMap<InstrumentId, Indicators> = HashMap::new();
    for second in (0..3_600).step_by(5) {
        let now = Timestamp::from_seconds(second).ok_or("a time out of range")?;
        let price = 100.0 + (second as f64 / 300.0).sin() * 5.0;
        let _ = aggregator.record_at(btc, &Tick::new(now, price).with_size(1.0), now);
        let mut failure = None;
        aggregator.drain_closed(now, |id, candle| {
            // Indicators take no corrections, so a revised candle is left out.
            if candle.state == State::Revised {
                return;
            }
            let item = DataItem::builder()
                .open(candle.open)
                .high(candle.high)
                .low(candle.low)
                .close(candle.close)
                .volume(candle.volume)
                .build();
            let fresh = || {
                Some(Indicators {
                    average: ExponentialMovingAverage::new(9).ok()?,
                    range: AverageTrueRange::new(14).ok()?,
                })
            };
            match (item, indicators.remove(id).or_else(fresh)) {
                (Ok(item), Some(mut own)) => {
                    println!("{id} {candle}: EMA {:.3}, ATR {:.3}", own.average.next(&item), own.range.next(&item));
                    indicators.insert(id.clone(), own);
                }
                _ => failure = Some("the candle or a period is not valid"),
            }
        });
        if let Some(failure) = failure {
            return Err(failure.into());
        }
    }
    Ok(())
}
