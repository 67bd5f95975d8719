//! Kills the server repeatedly under load.
//!
//! The server may lose only writes that it reported as at risk (not yet durable). It must not record a write twice.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Server;
use crate::{Directory, instrument, start};

/// The default number of kills; `CANDLE_KILL_ROUNDS` sets another one.
const ROUNDS: u32 = 6;

const INSTRUMENTS: u64 = 40;

/// The number of quotes in one write to the server. With [`WRITE_INTERVAL`], the rate is 20,000 quotes per second.
const QUOTES_PER_WRITE: u64 = 200;
const WRITE_INTERVAL: Duration = Duration::from_millis(10);

/// The time of the first quote, in microseconds since the epoch.
///
/// [`STEP_MICROS`] is the time between two quotes. It is so short that a hundred rounds stay within the window.
const FIRST_MICROS: u64 = 1_700_000_000_000_000;
const STEP_MICROS: u64 = 500;

/// The limit on the median time at risk: 300 ms, three of the server's commit intervals.
///
/// A sample is usually half an interval plus the commit in progress. Slow syncs on a busy machine change a few samples,
/// but not the median. A writer that skips intervals changes the median.
const MEDIAN_AT_RISK_LIMIT: Duration = Duration::from_millis(300);

/// A quote. All of its fields are computed from its number.
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
        FIRST_MICROS + self.0 * STEP_MICROS
    }

    /// Returns the quote with this time, in seconds since the epoch.
    fn at(seconds: f64) -> Self {
        let micros: u64 = format!("{:.0}", seconds * 1e6).parse().unwrap();
        Self((micros - FIRST_MICROS) / STEP_MICROS)
    }

    fn line(self) -> String {
        let (seconds, micros) = (self.micros() / 1_000_000, self.micros() % 1_000_000);
        let price = self.eighths() as f64 / 8.0;
        format!("{{\"id\":\"{}\",\"price\":{price},\"timestamp\":{seconds}.{micros:06}}}\n", self.instrument())
    }
}

/// Returns the candles that an instrument must have after these quotes.
fn expected_candles(quotes: &[Quote]) -> Vec<Value> {
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

/// Returns the candles of a response, in the form of [`expected_candles`].
fn served_candles(instrument: &Value) -> Vec<Value> {
    let candles = instrument["candles"].as_array().unwrap().iter();
    let candles = candles.map(|candle| {
        let [open, high, low, close] =
            ["openPrice", "highPrice", "lowPrice", "closePrice"].map(|name| candle[name].as_f64().unwrap());
        json!([candle["openTimestamp"], open, high, low, close, candle["quotes"]])
    });
    candles.collect()
}

/// Determines from the server's responses which quotes are durable, so that a kill can't lose them.
///
/// A quote in a response was written before the response arrived. A later request to `/metrics` returns the time at
/// risk. Every write that is older than the time at risk was durable when the request was sent. All times are read from
/// this process's clock, so that a delay of the machine can't make a quote look durable too early.
#[derive(Default)]
struct DurabilityProbe {
    /// The newest quotes of responses, with the time of the response, oldest first. They are not known to be durable
    /// yet.
    seen: Vec<(Instant, Quote)>,
    /// The last durable quote. All quotes before it are durable too.
    durable: Option<Quote>,
    /// One sample of the time at risk for each probe.
    at_risk: Vec<Duration>,
}

impl DurabilityProbe {
    fn probe(&mut self, server: &Server) {
        let newest = instrument(server, "0").and_then(|history| history["lastQuoteTimestamp"].as_f64());
        self.seen.extend(newest.map(|seconds| (Instant::now(), Quote::at(seconds))));
        let requested = Instant::now();
        let at_risk = at_risk(server);
        self.at_risk.push(at_risk);
        let durable = self.seen.partition_point(|(seen, _)| *seen + at_risk < requested);
        if let Some((_, quote)) = self.seen.drain(..durable).next_back() {
            self.durable = Some(quote);
        }
    }
}

fn at_risk(server: &Server) -> Duration {
    let metrics = server.get("/metrics").1;
    let line = metrics.lines().find_map(|line| line.strip_prefix("candle_store_at_risk_seconds "));
    Duration::from_secs_f64(line.unwrap().parse().unwrap())
}

/// Sends quotes to the server, starting with the number `first`. Kills the server after `lifetime`, and returns the
/// sent quotes.
fn run_until_killed(mut server: Server, first: u64, lifetime: Duration) -> (Vec<Quote>, DurabilityProbe) {
    let mut stdin = server.stdin();
    let is_killed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let feed = scope.spawn(|| {
            let mut sent = Vec::new();
            let mut next = first;
            let mut due = Instant::now();
            while !is_killed.load(Ordering::Relaxed) {
                let quotes: Vec<Quote> = (next..next + QUOTES_PER_WRITE).map(Quote).collect();
                let text: String = quotes.iter().map(|quote| quote.line()).collect();
                next += QUOTES_PER_WRITE;
                sent.extend(quotes);
                if stdin.write_all(text.as_bytes()).is_err() {
                    break;
                }
                due += WRITE_INTERVAL;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            sent
        });
        // The time of the kill is random. No assertion depends on it.
        let started = Instant::now();
        let mut probe = DurabilityProbe::default();
        while started.elapsed() < lifetime {
            probe.probe(&server);
        }
        let killed = server.end_by("KILL");
        assert_eq!(killed.0, None, "the server ended without a signal: {}", killed.2);
        is_killed.store(true, Ordering::Relaxed);
        (feed.join().unwrap(), probe)
    })
}

#[test]
fn a_kill_under_load_loses_at_most_the_writes_at_risk_and_repeats_none() {
    let rounds = std::env::var("CANDLE_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let seed = std::env::var("CANDLE_KILL_SEED").map_or(7, |seed| seed.parse().unwrap());
    let directory = Directory::new("kill");
    let store = directory.file("store");
    let mut random = fastrand::Rng::with_seed(seed);
    // The quotes that the store contains, by instrument.
    let mut stored: BTreeMap<String, Vec<Quote>> = BTreeMap::new();
    let mut next = 0;
    let mut at_risk = Vec::new();
    let (mut sent_total, mut durable_total, mut stored_total) = (0, 0, 0);
    for round in 0..rounds {
        let lifetime = Duration::from_millis(random.u64(300..2000));
        let (sent, probe) = run_until_killed(start(&store), next, lifetime);
        next += sent.len() as u64;
        let server = start(&store);
        for id in (0..INSTRUMENTS).map(|id| id.to_string()) {
            let has = stored.entry(id.clone()).or_default();
            let before = has.len();
            let answered = instrument(&server, &id).as_ref().map(served_candles).unwrap_or_default();
            let count: u64 = answered.iter().map(|candle| candle[5].as_u64().unwrap()).sum();
            let new: Vec<Quote> = sent.iter().copied().filter(|quote| quote.instrument() == id).collect();
            let added = usize::try_from(count).unwrap().checked_sub(before);
            let added =
                added.unwrap_or_else(|| panic!("round {round}, {id}: {count} quotes, {before} in the round before"));
            assert!(added <= new.len(), "round {round}, {id}: {added} quotes restored, {} sent", new.len());
            let durable = new.partition_point(|quote| probe.durable.is_some_and(|durable| quote.0 <= durable.0));
            assert!(added >= durable, "round {round}, {id}: {added} quotes restored, {durable} were durable");
            has.extend(&new[..added]);
            assert_eq!(answered, expected_candles(has), "round {round}, {id}");
            (sent_total, durable_total, stored_total) =
                (sent_total + new.len(), durable_total + durable, stored_total + added);
        }
        at_risk.extend(probe.at_risk);
        assert_eq!(server.end_by("TERM").0, Some(0));
    }
    at_risk.sort();
    let (median, most) = (at_risk[at_risk.len() / 2], at_risk[at_risk.len() - 1]);
    println!(
        "{rounds} kills; {sent_total} quotes sent, {durable_total} reported durable, {stored_total} stored; time at risk \
         in {} samples: median {median:?}, maximum {most:?}",
        at_risk.len()
    );
    assert!(durable_total > 0, "no quote was ever reported durable");
    assert!(median < MEDIAN_AT_RISK_LIMIT, "the median time at risk is too long: {median:?}");
}
