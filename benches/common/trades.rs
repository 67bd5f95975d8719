//! Real trades, read from files.

use std::fs;
use std::path::PathBuf;

use candle_core::{Tick, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The number of trades in the larger input.
const MILLION: usize = 1_000_000;

/// Real trades of one or several instruments, in the order in which they were received.
#[derive(Debug)]
pub struct Trades {
    /// The origin of the trades, for the head of a table.
    pub source: &'static str,
    /// The trades, by id.
    pub quotes: Vec<(String, Tick)>,
}

/// A line of `examples/data/trades-2025-03-25.ndjson`.
#[derive(Deserialize)]
struct Line<'a> {
    id: String,
    price: f64,
    #[serde(borrow)]
    timestamp: &'a RawValue,
    size: f64,
    seq: u64,
}

impl Trades {
    /// Reads the 11,032 Binance trades of three instruments that are part of this repository.
    ///
    /// # Panics
    /// If the file is missing or has another form.
    pub fn binance() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/trades-2025-03-25.ndjson");
        let text = fs::read_to_string(path).expect("the trades are part of the repository");
        let quotes = text.lines().map(|line| {
            let line: Line<'_> = serde_json::from_str(line).expect("each line is one trade");
            let (seconds, fraction) = line.timestamp.get().split_once('.').expect("times have a fraction");
            // The file has whole milliseconds.
            let time = millis(format!("{seconds}{}", &fraction[..3]).parse().expect("times are decimal"));
            (line.id, Tick::new(time, line.price).with_size(line.size).with_seq(line.seq))
        });
        Self { source: "11,032 Binance trades", quotes: quotes.collect() }
    }

    /// Reads the million `BitMEX` trades of XBTUSD that the published crate `trade_aggregation` contains. If cargo has not
    /// downloaded the crate, returns a million trades made of the Binance trades of BTCUSDT, repeated with later times
    /// and numbers.
    ///
    /// # Panics
    /// If a file has another form than expected.
    pub fn million() -> Self {
        let Some(path) = million_path() else { return Self::repeated() };
        let text = fs::read_to_string(path).expect("the file is readable");
        let quotes = text.lines().skip(1).zip(1..).map(|(line, seq)| {
            let mut fields = line.split(',');
            let mut next = || fields.next().expect("each line has three fields");
            let time = millis(next().parse().expect("the time is a whole number"));
            let price = next().parse().expect("the price is a number");
            // A negative size is a sell. Every contender adds up magnitudes.
            let size: f64 = next().parse().expect("the size is a number");
            ("XBTUSD".to_owned(), Tick::new(time, price).with_size(size.abs()).with_seq(seq))
        });
        Self { source: "1,000,000 BitMEX trades of XBTUSD", quotes: quotes.collect() }
    }

    fn repeated() -> Self {
        let mut once = Self::binance().quotes;
        once.retain(|(id, _)| id == "BTCUSDT");
        let (Some((_, first)), Some((_, last))) = (once.first(), once.last()) else { unreachable!("it is not empty") };
        let minutes = (last.time.as_micros() - first.time.as_micros()).div_euclid(60_000_000) + 1;
        let numbers = last.seq - first.seq + 1;
        let shift = |n: usize| (minutes * 60_000_000 * n.cast_signed() as i64, numbers * n as u64);
        let quotes = (0..MILLION).map(|n| {
            let (id, mut tick) = once[n % once.len()].clone();
            let (micros, seqs) = shift(n / once.len());
            tick.time = tick.time.saturating_add(micros);
            tick.seq += seqs;
            (id, tick)
        });
        Self {
            source: "6,770 Binance trades of BTCUSDT, repeated to 1,000,000 (run `cargo fetch` for the real million)",
            quotes: quotes.collect(),
        }
    }

    /// Returns the number of trades in each run of trades of one instrument in one millisecond.
    pub fn bursts(&self) -> Vec<u32> {
        let mut open: std::collections::HashMap<&str, (Timestamp, u32)> = std::collections::HashMap::new();
        let mut bursts = Vec::new();
        for (id, tick) in &self.quotes {
            match open.get_mut(id.as_str()) {
                Some((time, count)) if *time == tick.time => *count += 1,
                _ => bursts.extend(open.insert(id, (tick.time, 1)).map(|(_, count)| count)),
            }
        }
        bursts
    }
}

fn millis(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000).expect("a time of this century")
}

/// The file of the crate as cargo unpacks it.
fn million_path() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).ok()?.flatten();
    let crates = registries.filter_map(|registry| fs::read_dir(registry.path()).ok()).flatten().flatten();
    let mut found: Vec<PathBuf> = crates
        .filter(|package| package.file_name().to_string_lossy().starts_with("trade_aggregation-"))
        .map(|package| package.path().join("data/Bitmex_XBTUSD_1M.csv"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_real_trades_share_their_millisecond() {
        let trades = Trades::binance();
        assert_eq!(trades.quotes.len(), 11_032);
        let bursts = trades.bursts();
        let mean = f64::from(bursts.iter().sum::<u32>()) / bursts.len() as f64;
        assert!((4.0..5.0).contains(&mean), "{mean}");
    }

    #[test]
    fn repeated_trades_stay_in_order() {
        let trades = Trades::repeated();
        assert_eq!(trades.quotes.len(), MILLION);
        assert!(trades.quotes.is_sorted_by_key(|(_, tick)| (tick.time, tick.seq)));
    }
}
