//! Two halves of real trades, each seen by an aggregator of its own, joined: equal to one that saw all of them.
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

    // As two servers would that share a feed: every other trade each, spread over stripes in ways of their own.
    let [whole, left, right] = [1, 2, 3].map(|seed| Aggregator::new(Config::default().with_seed(seed)));
    for (number, (id, tick)) in ticks.iter().enumerate() {
        let half = if number % 2 == 0 { &left } else { &right };
        for aggregator in [half, &whole] {
            assert!(aggregator.record(id, tick, context).is_accepted());
        }
    }
    for part in right.snapshot() {
        left.merge(&part)?;
    }

    for instrument in whole.page(None, "", usize::MAX) {
        let id = instrument.id.as_str();
        let [joined, whole] = [&left, &whole].map(|aggregator| aggregator.history(id));
        let (joined, whole) = (joined.ok_or("it is in one half at least")?, whole.ok_or("it is listed")?);
        for (a, b) in joined.candles(now, Gaps::Filled).zip(whole.candles(now, Gaps::Filled)) {
            assert_eq!((a.open, a.high, a.low, a.close, a.count), (b.open, b.high, b.low, b.close, b.count));
            assert!((a.volume - b.volume).abs() <= 1e-9 * b.volume);
            println!("{id} {}: {} {} {} {}, {} trades", a.minute.number(), a.open, a.high, a.low, a.close, a.count);
        }
    }
    println!("{} trades: both halves joined equal the whole", left.outcomes().accepted());
    Ok(())
}
