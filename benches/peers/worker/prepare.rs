//! The input files, which all peers read.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use benches::common::{Arrivals, Feed, Skew, Trades};
use candle_core::{Tick, Timestamp};

/// The number of instruments of the larger input.
const INSTRUMENTS: usize = 50_000;

/// Writes `real` (the million real trades of one instrument) and `many` (2^20 trades of 50,000 instruments). The CSV file has
/// times in milliseconds, as exchanges publish them. The other file has one JSON object a line, in the form that the server
/// reads, with times in seconds.
pub(crate) fn prepare(dir: &Path) {
    let trades = Trades::million();
    println!("real: {}", trades.source);
    write(dir, "real", trades.quotes.iter().map(|(id, tick)| (id.as_str(), tick)));
    let many = Feed::of(1 << 20, INSTRUMENTS, Skew::Uniform, Arrivals::Bursts, 1);
    println!("many: {} trades of {INSTRUMENTS} instruments, in bursts as long as real ones", many.quotes.len());
    write(dir, "many", many.quotes.iter().map(|(id, tick)| (*id, tick)));
}

fn write<'a>(dir: &Path, name: &str, trades: impl Iterator<Item = (&'a str, &'a Tick)>) {
    let (mut csv, mut ndjson) = ("timestamp,price,size,seq,id\n".to_owned(), String::new());
    for (id, tick) in trades {
        let Tick { price, size, seq, .. } = tick;
        // Every time is a whole millisecond after the epoch.
        let millis = tick.time.as_micros() / 1_000;
        let (seconds, rest) = (millis / 1_000, millis % 1_000);
        writeln!(csv, "{millis},{price},{size},{seq},{id}").expect("a string takes any text");
        writeln!(
            ndjson,
            r#"{{"id":"{id}","price":{price},"timestamp":{seconds}.{rest:03},"size":{size},"seq":{seq}}}"#
        )
        .expect("a string takes any text");
    }
    for (form, text) in [("csv", csv), ("ndjson", ndjson)] {
        fs::write(dir.join(format!("{name}.{form}")), text).expect("the folder is writable");
    }
}

/// Reads a line of the CSV file.
pub(crate) fn parse(line: &str) -> Option<(&str, Tick)> {
    let mut fields = line.split(',');
    let millis: i64 = fields.next()?.parse().ok()?;
    let price = fields.next()?.parse().ok()?;
    let size = fields.next()?.parse().ok()?;
    let seq = fields.next()?.parse().ok()?;
    Some((fields.next()?, Tick::new(Timestamp::from_micros(millis * 1_000)?, price).with_size(size).with_seq(seq)))
}

/// Reads a CSV file into memory.
pub(crate) fn read_csv(path: &Path) -> Trades {
    let text = fs::read_to_string(path).expect("`prepare` wrote the file");
    let trade = |line| parse(line).map(|(id, tick)| (id.to_owned(), tick)).expect("`prepare` wrote the line");
    Trades { source: "a prepared file", quotes: text.lines().skip(1).map(trade).collect() }
}
