//! Reads a file of quotes and prints the candles of its last 30 minutes as CSV.
//!
//!     cargo run --example replay -- examples/data/trades-2025-03-25.ndjson
//!     cargo run --example replay < examples/data/trades-2025-03-25.ndjson

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};

use candle_core::{Aggregator, Gaps, RecordContext, Tick, Timestamp, Unlisted};
use candle_server::feed::message::{Message, decode};

fn main() -> io::Result<()> {
    let input: Box<dyn BufRead> = match std::env::args().nth(1) {
        Some(path) => Box::new(BufReader::new(File::open(path)?)),
        None => Box::new(io::stdin().lock()),
    };
    let aggregator = Aggregator::default();
    // The clock of a replay is the time of its ticks: `now` is the newest one.
    let mut now = Timestamp::MIN;
    for line in input.lines() {
        decode(line?.as_bytes(), |message| match message {
            Ok(Message::Quote(quote)) => {
                let tick = Tick::new(quote.time.unwrap_or(now), quote.price).with_size(quote.size);
                let tick = tick.with_seq(quote.seq.unwrap_or_default());
                now = now.max(tick.time);
                let context = RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) };
                let outcome = aggregator.record(&quote.id, &tick, context);
                if !outcome.is_accepted() {
                    eprintln!("{}: {outcome}", quote.id);
                }
            }
            Ok(other) => eprintln!("not a quote: {other:?}"),
            Err(reason) => eprintln!("unreadable: {reason}"),
        });
    }
    print(&aggregator, now)
}

fn print(aggregator: &Aggregator, now: Timestamp) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "id,minute,open,high,low,close,volume,quotes,state")?;
    for instrument in aggregator.page(None, "", usize::MAX) {
        let history = aggregator.history(instrument.id.as_str()).expect("this program delists nothing");
        for candle in history.candles(now, Gaps::Filled) {
            let start = candle.open_time.as_micros() / 1_000_000;
            let (open, high, low, close) = (candle.open, candle.high, candle.low, candle.close);
            let (volume, count, state) = (candle.volume, candle.count, candle.state.name());
            writeln!(out, "{},{start},{open},{high},{low},{close},{volume},{count},{state}", instrument.id)?;
        }
    }
    Ok(())
}
