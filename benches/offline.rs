//! Our contender of `duckdb_group_by.py`: records 2^20 ticks in a new aggregator for each line on standard input, and
//! prints the nanoseconds per tick. Without a number of instruments as argument, it does one pass.

use std::io::{BufRead as _, Write as _};

use benches::common::{Feed, Pairs, Skew, aggregator, record_batches};
use candle_core::Config;

/// The number of ticks, as in `duckdb_group_by.py`.
const TICKS: usize = 1 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let instruments = arguments.iter().find_map(|argument| argument.parse().ok());
    let feed = Feed::of(TICKS, instruments.unwrap_or(50_000), Skew::Uniform, 1);
    let pass = || {
        let ours = aggregator(&feed, Config::DEFAULT_STRIPES);
        Pairs::clock(TICKS, || record_batches(&ours, &feed.quotes, 4096))
    };
    if instruments.is_none() {
        println!("2^20 ticks in batches of 4096 into a new aggregator: {:.1} ns per tick", pass());
        return;
    }
    let mut out = std::io::stdout().lock();
    let checksum: u64 = feed.instruments.iter().map(|instrument| u64::from(*instrument)).sum();
    writeln!(out, "{checksum}").expect("standard output is open");
    for line in std::io::stdin().lock().lines() {
        line.expect("lines are text");
        writeln!(out, "{:.2}", pass()).expect("standard output is open");
    }
}
