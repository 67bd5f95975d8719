//! Merges two aggregators, each with one half of real trades. The result equals an aggregator with all trades.
//!
//!     cargo run --example merge

use std::error::Error;

use candle_core::{Aggregator, Config, Gaps, RecordContext, Tick, Timestamp, Unlisted};

const TRADES: &str = include_str!("data/trades-2025-03-25.ndjson");

#[derive(serde::Deserialize)]
struct Trade {
    id: String,
    price: f64,
    timestamp: f64,
    size: f64,
    seq: u64,
}

impl Trade {
    fn tick(&self) -> Option<Tick> {
        #[expect(clippy::cast_possible_truncation, reason = "microseconds of our time fit easily")]
        let time = Timestamp::from_micros((self.timestamp * 1e6).round() as i64)?;
        Some(Tick::new(time, self.price).with_size(self.size).with_seq(self.seq))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let trades = TRADES.lines().map(serde_json::from_str).collect::<Result<Vec<Trade>, _>>()?;
    let ticks: Vec<_> = trades.iter().filter_map(|trade| Some((trade.id.as_str(), trade.tick()?))).collect();
    let now = ticks.iter().map(|(_, tick)| tick.time).max().ok_or("there are no trades")?;
    let context = RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) };

    // The aggregators get alternate trades, as two servers that share a feed. Each has its own seed, so that it
    // distributes instruments over stripes differently.
    let [whole, left, right] = [1, 2, 3].map(|seed| Aggregator::new(Config::default().with_seed(seed)));
    for (number, (id, tick)) in ticks.iter().enumerate() {
        let half = if number % 2 == 0 { &left } else { &right };
        for aggregator in [half, &whole] {
            assert!(aggregator.record(id, tick, context).is_accepted());
        }
    }
    for snapshot in right.snapshot() {
        left.merge(&snapshot)?;
    }

    for instrument in whole.page(None, "", usize::MAX) {
        let id = instrument.id.as_str();
        let [merged, whole] = [&left, &whole].map(|aggregator| aggregator.history(id));
        let (merged, whole) = (merged.ok_or("the merged aggregator lacks an instrument")?, whole.ok_or("not listed")?);
        for (a, b) in merged.candles(now, Gaps::Filled).zip(whole.candles(now, Gaps::Filled)) {
            assert_eq!((a.open, a.high, a.low, a.close, a.count), (b.open, b.high, b.low, b.close, b.count));
            assert!((a.volume - b.volume).abs() <= 1e-9 * b.volume);
            println!("{id} {}: {} {} {} {}, {} trades", a.open_time, a.open, a.high, a.low, a.close, a.count);
        }
    }
    println!("{} trades: the merged halves equal the whole", left.outcomes().accepted());
    Ok(())
}
