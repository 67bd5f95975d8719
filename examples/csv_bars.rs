//! Prints five-minute bars with the average price of each instrument in a CSV file of trades.
//!
//!     cargo run --example csv_bars -- trades.csv
//!
//! Each line is `id,milliseconds since the epoch,price,size`; a negative size is a sell. Without a file, the example prints
//! the bars of a few trades of its own.

use std::error::Error;

use candle_core::{Aggregator, Config, Interval, RecordContext, Tick, Timestamp, Unlisted};

const TRADES: &str = "\
BTC,1742944020715,87232.0,0.5
BTC,1742944080911,87232.5,-0.25
ETH,1742944081000,2061.2,3
BTC,1742944321315,87199.9,0.125
";

fn main() -> Result<(), Box<dyn Error>> {
    let csv = std::env::args().nth(1).map_or(Ok(TRADES.to_owned()), std::fs::read_to_string)?;
    let aggregator = Aggregator::new(Config::default().with_interval(Interval::minutes(5)?));
    let print = |now| {
        aggregator.drain_closed(now, |id, bar| {
            println!("{id} {bar} vwap {:.4}, bought {}", bar.vwap().unwrap_or(bar.close), bar.buy_volume);
        });
    };
    // On a file, the present is the time of the newest trade.
    let mut now = Timestamp::MIN;
    for (number, line) in (1..).zip(csv.lines()) {
        let (id, tick) =
            trade(line).ok_or_else(|| format!("line {number} is not `id,milliseconds,price,size`: {line}"))?;
        if tick.time >= Interval::minutes(5)?.close_time(now) {
            print(tick.time); // A bar is over.
        }
        now = now.max(tick.time);
        let outcome = aggregator.record(id, &tick, RecordContext { unlisted: Unlisted::List, ..now.into() });
        if !outcome.is_accepted() {
            eprintln!("line {number}: {outcome}");
        }
    }
    print(Timestamp::MAX);
    Ok(())
}

fn trade(line: &str) -> Option<(&str, Tick)> {
    let [id, millis, price, size] = line.split(',').collect::<Vec<_>>()[..] else { return None };
    let time = Timestamp::from_millis(millis.parse().ok()?)?;
    Some((id, Tick::new(time, price.parse().ok()?).with_size(size.parse().ok()?)))
}
