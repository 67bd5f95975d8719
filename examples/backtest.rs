//! Replays the trades of one instrument at full speed, and hands out each candle once.
//!
//!     cargo run --release --example backtest

use std::time::Instant;

use candle_core::{Candle, Interval, InvalidWindow, Ring, Rules, Tick, Timestamp, Window};

/// A month of trades, one every two seconds, in blocks as a reader of a file would return them.
const BLOCKS: i64 = 30 * 24;
const TRADES: i64 = 1_800;

fn main() -> Result<(), InvalidWindow> {
    let blocks: Vec<Vec<Tick>> = (0..BLOCKS).map(block).collect();
    let mut ring = Ring::new(Window::new(Interval::MINUTE, 30)?);
    let mut strategy = Strategy::default();
    let started = Instant::now();
    let mut accepted = 0;
    for block in &blocks {
        // `now` is the time of the newest trade. A candle leaves the ring when no late trade can change it any more.
        accepted += ring.replay(block, &Rules::default(), |candle| strategy.on_candle(candle)).accepted();
    }
    ring.remaining().for_each(|candle| strategy.on_candle(&candle));
    let per_trade = started.elapsed().as_secs_f64() * 1e9 / accepted as f64;
    println!("{accepted} trades, {} candles, {} above their average price", strategy.candles, strategy.above);
    println!("{per_trade:.1} ns a trade");
    Ok(())
}

fn block(number: i64) -> Vec<Tick> {
    let trade = |index: i64| {
        let second = (number * TRADES + index) * 2;
        let price = 100.0 + (second as f64 / 1_000.0).sin() * 5.0;
        let size = if index % 3 == 0 { -1.5 } else { 1.0 };
        Timestamp::from_seconds(second).map(|time| Tick::new(time, price).with_size(size))
    };
    (0..TRADES).filter_map(trade).collect()
}

#[derive(Default)]
struct Strategy {
    candles: u32,
    above: u32,
}

impl Strategy {
    fn on_candle(&mut self, candle: &Candle) {
        self.candles += 1;
        self.above += u32::from(candle.vwap().is_some_and(|vwap| candle.close() > vwap));
    }
}
