//! Real trades from a file, compared with a simple sort of the same trades.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::test_server::{TestServer, eventually};

const TRADES: &str = include_str!("../../data/trades-2025-03-25.ndjson");
const MINUTE: i64 = 60_000_000;

/// One line of the file. Its time is in microseconds.
#[derive(Clone, Copy)]
struct Trade {
    time: i64,
    seq: u64,
    price: f64,
    size: f64,
}

/// The expected candle of one minute of one instrument.
#[derive(Debug, PartialEq)]
struct Expected {
    start: i64,
    prices: [f64; 4],
    quotes: u64,
    volume: f64,
    state: &'static str,
}

fn read(line: &str) -> (String, Trade) {
    let value: Value = serde_json::from_str(line).unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "microseconds of this century are below 2^53")]
    let time = (value["timestamp"].as_f64().unwrap() * 1e6).round() as i64;
    let [price, size] = ["price", "size"].map(|name| value[name].as_f64().unwrap());
    (value["id"].as_str().unwrap().to_owned(), Trade { time, seq: value["seq"].as_u64().unwrap(), price, size })
}

/// Computes the candles of lines in their order of arrival: a stable sort by time and sequence number, then a fold over
/// each minute. A trade that arrives after a later minute has begun makes its candle `revised`.
fn expected_candles(lines: &[&str]) -> (i64, BTreeMap<String, Vec<Expected>>) {
    let mut now = i64::MIN;
    let mut trades: BTreeMap<String, Vec<(Trade, bool)>> = BTreeMap::new();
    for (id, trade) in lines.iter().map(|line| read(line)) {
        now = now.max(trade.time);
        let is_late = trade.time / MINUTE < now / MINUTE;
        trades.entry(id).or_default().push((trade, is_late));
    }
    let candles = |mut trades: Vec<(Trade, bool)>| {
        trades.sort_by_key(|(trade, _)| (trade.time, trade.seq));
        let minutes = trades.chunk_by(|(a, _), (b, _)| a.time / MINUTE == b.time / MINUTE);
        let candle = |minute: &[(Trade, bool)]| {
            let prices = || minute.iter().map(|(trade, _)| trade.price);
            let start = minute[0].0.time / MINUTE * MINUTE;
            let state = match (start == now / MINUTE * MINUTE, minute.iter().any(|(_, is_late)| *is_late)) {
                (true, _) => "forming",
                (false, true) => "revised",
                (false, false) => "final",
            };
            Expected {
                start: start / 1_000_000,
                prices: [
                    minute[0].0.price,
                    prices().fold(f64::MIN, f64::max),
                    prices().fold(f64::MAX, f64::min),
                    minute[minute.len() - 1].0.price,
                ],
                quotes: minute.len() as u64,
                volume: minute.iter().map(|(trade, _)| trade.size).sum(),
                state,
            }
        };
        minutes.map(candle).collect()
    };
    (now, trades.into_iter().map(|(id, trades)| (id, candles(trades))).collect())
}

/// A temporary file, removed when dropped.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn with_lines(name: &str, lines: &[&str]) -> Self {
        let path = std::env::temp_dir().join(format!("candle-{}-{name}.ndjson", std::process::id()));
        std::fs::write(&path, lines.join("\n")).unwrap();
        Self(path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Serves a file of `lines` lines and returns the histories of its three instruments. Every line must be accepted.
async fn serve_file(feed: &str, lines: usize) -> Vec<Value> {
    let server = TestServer::start(&["--feed", feed, "--clock", "feed"]).await;
    eventually("the whole file is read", async || server.received() == lines as u64).await;
    assert_eq!(server.accepted(), lines as u64, "{:?}", server.engine.aggregator.outcomes());
    assert_eq!(server.engine.unreadable(), 0);
    assert_eq!(server.listed().await, ["BTCUSDT", "ETHUSDT", "SOLUSDT"]);
    let mut histories = Vec::new();
    for id in server.listed().await {
        histories.push(server.history(&id).await);
    }
    server.stop().await;
    histories
}

/// Asserts that all fields of the histories equal the expected candles of `lines`.
fn assert_expected(histories: &[Value], lines: &[&str]) {
    let (now, expected) = expected_candles(lines);
    assert_eq!(histories.len(), expected.len());
    for (history, (id, expected)) in histories.iter().zip(&expected) {
        let newest = lines.iter().map(|line| read(line)).filter(|(of, _)| of == id).map(|(_, trade)| trade.time).max();
        assert_eq!(history["id"], id.as_str());
        assert_eq!(history["description"], Value::Null);
        assert_eq!((&history["views"], &history["status"]), (&1.into(), &"live".into()));
        assert_eq!(history["asOf"].as_f64(), Some(now as f64 / 1e6));
        assert_eq!(history["lastQuoteTimestamp"].as_f64(), newest.map(|time| time as f64 / 1e6));
        let candles = history["candles"].as_array().unwrap();
        assert_eq!(candles.len(), expected.len(), "{id}");
        for (candle, expected) in candles.iter().zip(expected) {
            let prices = ["openPrice", "highPrice", "lowPrice", "closePrice"];
            assert_eq!(prices.map(|name| candle[name].as_f64().unwrap()), expected.prices, "{id}: {candle}");
            assert_eq!(candle["openTimestamp"], expected.start, "{id}");
            assert_eq!(candle["closeTimestamp"], expected.start + 60, "{id}");
            assert_eq!(candle["quotes"], expected.quotes, "{id}: {candle}");
            assert_eq!(
                (&candle["state"], &candle["filled"]),
                (&expected.state.into(), &false.into()),
                "{id}: {candle}"
            );
            let volume = candle["volume"].as_f64().unwrap();
            assert!((volume - expected.volume).abs() <= 1e-9 * expected.volume, "{id}: {volume} {expected:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_candles_of_a_file_equal_those_of_a_sort_by_time_and_sequence_number() {
    let lines: Vec<&str> = TRADES.lines().collect();
    let feed = format!("file:{}/data/trades-2025-03-25.ndjson", env!("CARGO_MANIFEST_DIR"));
    let histories = serve_file(&feed, lines.len()).await;
    assert_expected(&histories, &lines);
    let candles: Vec<usize> = histories.iter().map(|history| history["candles"].as_array().unwrap().len()).collect();
    assert_eq!(candles, [4, 4, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shuffled_lines_give_the_same_candles() {
    let sorted: Vec<&str> = TRADES.lines().collect();
    for seed in 0..3 {
        let mut lines = sorted.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut lines);
        let file = TemporaryFile::with_lines(&format!("shuffled-{seed}"), &lines);
        let histories = serve_file(&format!("file:{}", file.0.display()), lines.len()).await;
        assert_expected(&histories, &lines);
        let (mut in_order, mut shuffled) = (expected_candles(&sorted).1, expected_candles(&lines).1);
        for candle in in_order.values_mut().chain(shuffled.values_mut()).flatten() {
            (candle.state, candle.volume) = ("", 0.0);
        }
        assert_eq!(in_order, shuffled, "the order of lines changes only `revised` and the last digits of sums");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doubled_lines_change_only_counts_and_volumes() {
    let once: Vec<&str> = TRADES.lines().collect();
    let twice: Vec<&str> = once.iter().flat_map(|line| [*line, *line]).collect();
    let file = TemporaryFile::with_lines("doubled", &twice);
    let histories = serve_file(&format!("file:{}", file.0.display()), twice.len()).await;
    assert_expected(&histories, &twice);
    for (history, (_, expected)) in histories.iter().zip(expected_candles(&once).1) {
        for (candle, once) in history["candles"].as_array().unwrap().iter().zip(expected) {
            let prices = ["openPrice", "highPrice", "lowPrice", "closePrice"];
            assert_eq!(prices.map(|name| candle[name].as_f64().unwrap()), once.prices);
            assert_eq!(candle["quotes"], 2 * once.quotes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_affects_no_other_line() {
    let long = format!(r#"{{"id":"{}","price":1}}"#, "x".repeat(3 << 20));
    let lines = [
        r#"{"id":1,"price":5,"timestamp":1000}"#,
        "",
        "garbage",
        long.as_str(),
        "  \r",
        r#"{"id":1,"price":6}"#,
        "\u{feff}[",
        r#"{"type":"ADD","data":{"isin":"B","description":"listed"}}"#,
        r#"{"id":1,"price":7,"timestamp":1001}"#,
    ];
    let file = TemporaryFile::with_lines("bad", &lines);
    let server = TestServer::start(&["--feed", &format!("file:{}", file.0.display())]).await;
    server.wait_accepted(3).await;
    assert_eq!((server.received(), server.engine.unreadable()), (3, 3));
    let history = server.history("1").await;
    assert_eq!(crate::test_server::forming(&history), [5.0, 7.0, 5.0, 7.0]);
    assert_eq!(history["asOf"], 1001);
    assert_eq!(server.listed().await, ["1", "B"]);
    server.stop().await;
}
