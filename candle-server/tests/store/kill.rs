//! Killed again and again under load, it loses at most what it said was at risk, and nothing comes back twice.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Server;
use crate::{Directory, instrument, start};

/// How often it is killed, unless `CANDLE_KILL_ROUNDS` says otherwise.
const ROUNDS: u32 = 6;

const INSTRUMENTS: u64 = 40;

/// Quotes in one write, and how often there is one: 20,000 a second.
const TOGETHER: u64 = 200;
const EVERY: Duration = Duration::from_millis(10);

/// The first quote's time, and how far apart they are: a hundred rounds stay within half an hour.
const BEGIN_MICROS: u64 = 1_700_000_000_000_000;
const APART_MICROS: u64 = 500;

/// What may be at risk in the middle of all looks: three of the server's intervals. Where all is well a look finds half an
/// interval and the commit under way. A slow sync on a busy machine makes a few looks worse and hardly moves the middle; a
/// keeper that leaves out intervals moves it by as many.
const USUALLY_AT_RISK: Duration = Duration::from_millis(300);

/// A quote, all of which follows from its number.
#[derive(Clone, Copy)]
struct Quote(u64);

impl Quote {
    fn id(self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
    }

    fn instrument(self) -> String {
        (self.id() % INSTRUMENTS).to_string()
    }

    fn eighths(self) -> u64 {
        1 + (self.0.wrapping_mul(0xD134_2543_DE82_EF95) >> 50)
    }

    fn micros(self) -> u64 {
        BEGIN_MICROS + self.0 * APART_MICROS
    }

    /// The one of this time, in seconds since the epoch.
    fn at(seconds: f64) -> Self {
        let micros: u64 = format!("{:.0}", seconds * 1e6).parse().unwrap();
        Self((micros - BEGIN_MICROS) / APART_MICROS)
    }

    fn line(self) -> String {
        let (seconds, micros) = (self.micros() / 1_000_000, self.micros() % 1_000_000);
        let price = self.eighths() as f64 / 8.0;
        format!("{{\"id\":\"{}\",\"price\":{price},\"timestamp\":{seconds}.{micros:06}}}\n", self.instrument())
    }
}

/// What an instrument's candles must be after these quotes, as the server tells them.
fn candles(quotes: &[Quote]) -> Vec<Value> {
    let mut minutes: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for quote in quotes {
        minutes.entry(quote.micros() / 60_000_000 * 60).or_default().push(quote.eighths() as f64 / 8.0);
    }
    let candle = |(minute, prices): (u64, Vec<f64>)| {
        let high = prices.iter().copied().fold(f64::MIN, f64::max);
        let low = prices.iter().copied().fold(f64::MAX, f64::min);
        json!([minute, prices[0], high, low, prices[prices.len() - 1], prices.len()])
    };
    minutes.into_iter().map(candle).collect()
}

fn told(instrument: &Value) -> Vec<Value> {
    let candles = instrument["candles"].as_array().unwrap().iter();
    let plain = candles.map(|candle| {
        let [open, high, low, close] =
            ["openPrice", "highPrice", "lowPrice", "closePrice"].map(|name| candle[name].as_f64().unwrap());
        json!([candle["openTimestamp"], open, high, low, close, candle["quotes"]])
    });
    plain.collect()
}

/// What the server says is safe from a kill, in its own words.
///
/// A quote that a reader has seen was written before. What was written before the moment that a later answer names is
/// safe, and that moment is later still than the question less the time at risk: so no clock but ours is compared, and
/// no delay of the machine can make a quote look safe that is not.
#[derive(Default)]
struct Promised {
    /// Seen by a reader at these moments, with all quotes before them: not known to be safe yet, in order.
    seen: Vec<(Instant, Quote)>,
    /// The last quote that is safe, with all before it.
    safe: Option<Quote>,
    /// What was at risk, at each look.
    at_risk: Vec<Duration>,
}

impl Promised {
    fn look(&mut self, server: &Server) {
        let newest = instrument(server, "0").and_then(|told| told["lastQuoteTimestamp"].as_f64());
        self.seen.extend(newest.map(|seconds| (Instant::now(), Quote::at(seconds))));
        let asked = Instant::now();
        let at_risk = at_risk(server);
        self.at_risk.push(at_risk);
        let covered = self.seen.partition_point(|(seen, _)| *seen + at_risk < asked);
        if let Some((_, quote)) = self.seen.drain(..covered).next_back() {
            self.safe = Some(quote);
        }
    }
}

fn at_risk(server: &Server) -> Duration {
    let metrics = server.get("/metrics").1;
    let line = metrics.lines().find_map(|line| line.strip_prefix("candle_store_at_risk_seconds "));
    Duration::from_secs_f64(line.unwrap().parse().unwrap())
}

#[test]
fn killed_under_load_it_loses_at_most_what_was_at_risk_and_nothing_comes_back_twice() {
    let rounds = std::env::var("CANDLE_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let seed = std::env::var("CANDLE_KILL_SEED").map_or(7, |seed| seed.parse().unwrap());
    let directory = Directory::new("kill");
    let store = directory.file("store");
    let mut random = fastrand::Rng::with_seed(seed);
    // What each instrument has, as far as it was kept.
    let mut kept: BTreeMap<String, Vec<Quote>> = BTreeMap::new();
    let mut next = 0;
    let mut at_risk = Vec::new();
    let (mut sent_in_all, mut safe_in_all, mut kept_in_all) = (0, 0, 0);
    for round in 0..rounds {
        let mut server = start(&store);
        let mut stdin = server.stdin();
        let is_killed = AtomicBool::new(false);
        let life = Duration::from_millis(random.u64(300..2000));
        let (sent, promised) = std::thread::scope(|scope| {
            let feed = scope.spawn(|| {
                let mut sent = Vec::new();
                let mut due = Instant::now();
                while !is_killed.load(Ordering::Relaxed) {
                    let quotes: Vec<Quote> = (next..next + TOGETHER).map(Quote).collect();
                    let text: String = quotes.iter().map(|quote| quote.line()).collect();
                    next += TOGETHER;
                    sent.extend(quotes);
                    if stdin.write_all(text.as_bytes()).is_err() {
                        break;
                    }
                    due += EVERY;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                sent
            });
            // When it is killed is what the test tries; nothing is right or wrong by it.
            let born = Instant::now();
            let mut promised = Promised::default();
            while born.elapsed() < life {
                promised.look(&server);
            }
            let killed = server.end_by("KILL");
            assert_eq!(killed.0, None, "it ended by itself: {}", killed.2);
            is_killed.store(true, Ordering::Relaxed);
            (feed.join().unwrap(), promised)
        });
        let server = start(&store);
        for id in (0..INSTRUMENTS).map(|id| id.to_string()) {
            let has = kept.entry(id.clone()).or_default();
            let before = has.len();
            let told = instrument(&server, &id).as_ref().map(told).unwrap_or_default();
            let count: u64 = told.iter().map(|candle| candle[5].as_u64().unwrap()).sum();
            let new: Vec<Quote> = sent.iter().copied().filter(|quote| quote.instrument() == id).collect();
            let came = usize::try_from(count).unwrap().checked_sub(before);
            let came =
                came.unwrap_or_else(|| panic!("round {round}, {id}: {count} quotes, {before} were there before"));
            assert!(came <= new.len(), "round {round}, {id}: {came} quotes came back of {}", new.len());
            let safe = new.partition_point(|quote| promised.safe.is_some_and(|safe| quote.0 <= safe.0));
            assert!(came >= safe, "round {round}, {id}: {came} quotes came back, {safe} were safe");
            has.extend(&new[..came]);
            assert_eq!(told, candles(has), "round {round}, {id}");
            (sent_in_all, safe_in_all, kept_in_all) = (sent_in_all + new.len(), safe_in_all + safe, kept_in_all + came);
        }
        at_risk.extend(promised.at_risk);
        assert_eq!(server.end_by("TERM").0, Some(0));
    }
    at_risk.sort();
    let (median, most) = (at_risk[at_risk.len() / 2], at_risk[at_risk.len() - 1]);
    println!(
        "{rounds} kills, {sent_in_all} quotes sent, {safe_in_all} said to be safe, {kept_in_all} kept; at risk at {} \
         looks: {median:?} in the middle, {most:?} at most",
        at_risk.len()
    );
    assert!(safe_in_all > 0, "nothing was ever said to be safe");
    assert!(median < USUALLY_AT_RISK, "too much is at risk: {median:?}");
}
