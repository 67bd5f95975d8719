//! A tour of `candle-core`: records ticks, reads candles, and prints the most viewed instruments.
//!
//!     cargo run --example quickstart

use candle_core::{Aggregator, Gaps, ListError, Tick, Timestamp};

fn main() -> Result<(), ListError> {
    let aggregator = Aggregator::default();
    aggregator.list("BTC", Some("Bitcoin"))?;
    aggregator.list("ETH", None)?;

    // It is 01:10:30. The ticks are of the last three minutes, in no order; each is recorded in the candle of its minute.
    let now = Timestamp::EPOCH.saturating_add((70 * 60 + 30) * 1_000_000);
    for (id, seconds_ago, price) in
        [("BTC", 170, 87_232.0), ("BTC", 5, 87_250.5), ("ETH", 4, 2_061.2), ("BTC", 165, 87_199.9)]
    {
        let tick = Tick::new(now.saturating_add(-seconds_ago * 1_000_000), price).with_size(0.25);
        println!("{id} {price}: {}", aggregator.record(id, &tick, now));
    }

    let history = aggregator.history_counting_view("BTC").expect("BTC is listed");
    println!("\n{} was viewed {} time", history.description.as_deref().unwrap_or("?"), history.views);
    for candle in history.candles(now, Gaps::Filled) {
        let filled = if candle.filled { ", filled" } else { "" };
        println!("{candle}, {} ticks, {}{filled}", candle.count, candle.state.name());
    }

    println!();
    for popular in aggregator.top(10) {
        println!("{}: {}", popular.id, popular.views);
    }
    Ok(())
}
