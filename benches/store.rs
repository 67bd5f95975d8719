//! What keeping costs: ingestion with and without the store, recovery by instruments, bytes written for a quote.
//!
//! Run by `cargo bench --bench store`, or one section of it: `-- in-process`, `-- paced`, `-- recovery`. Pairs are interleaved in one run, and ratios are of medians; the file lies in the
//! system's temporary directory, so put that (`TMPDIR`) on the disk in question.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Aggregator, Config, RecordContext, Tick, Timestamp, Unlisted};
use candle_server::clock::{Clock, ClockMode};
use candle_server::engine::Engine;
use candle_server::journal::Durability;
use candle_server::store::{self, DEFAULT_INTERVAL, Keeping, Options};

const INSTRUMENTS: usize = 50_000;
/// Ticks handed over together, as ten milliseconds of the full load.
const TOGETHER: usize = 1000;
/// Where time begins.
const BEGIN_SECONDS: i64 = 1_700_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, fill, path, instruments] = &arguments[..]
        && fill == "fill"
    {
        return fill_until_killed(Path::new(path), instruments.parse().expect("a number"));
    }
    if arguments.iter().any(|argument| argument == "--test") {
        return println!("store: nothing to test quickly");
    }
    let names: Vec<&String> = arguments[1..].iter().filter(|argument| !argument.starts_with("--")).collect();
    let is_asked = |section| names.is_empty() || names.iter().any(|name| *name == section);
    if is_asked("in-process") {
        in_process();
    }
    if is_asked("paced") {
        paced();
    }
    if is_asked("recovery") {
        [1000, 10_000, INSTRUMENTS].into_iter().for_each(recovery);
    }
}

/// A file that is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("candle-bench-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn ids(instruments: usize) -> Vec<String> {
    (0..instruments).map(|number| format!("INSTR{number:07}")).collect()
}

fn plain() -> (Arc<Engine>, Option<Keeping>) {
    (Arc::new(Engine::new(Aggregator::new(Config::default()), Clock::new(ClockMode::Feed))), None)
}

fn kept(path: &Path) -> (Arc<Engine>, Option<Keeping>) {
    let options = Options { path: path.to_owned(), interval: DEFAULT_INTERVAL };
    let (store, recovered) = store::open(options, Config::default()).expect("a store");
    let engine =
        Engine::new(recovered.aggregator, Clock::new(ClockMode::Feed)).with_journal(Arc::clone(&recovered.journal));
    let engine = Arc::new(engine);
    let keeping = store.keep(Arc::clone(&engine), recovered.journal).expect("a thread");
    (engine, Some(keeping))
}

/// An endless stream over all instruments, `apart` microseconds between two ticks.
struct Stream<'i> {
    ids: &'i [String],
    number: u64,
    apart: i64,
}

impl<'i> Stream<'i> {
    fn batch(&mut self) -> (Vec<(&'i str, Tick)>, RecordContext) {
        let mut batch = Vec::with_capacity(TOGETHER);
        let mut now = Timestamp::EPOCH;
        for _ in 0..TOGETHER {
            let mixed = self.number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            let offset = i64::try_from(self.number).unwrap_or(0) * self.apart;
            now = Timestamp::from_micros(BEGIN_SECONDS * 1_000_000 + offset).expect("a time of ours");
            let tick = Tick::new(now, 100.0 + (mixed % 1000) as f64 / 100.0).with_seq(self.number);
            batch.push((self.ids[mixed as usize % self.ids.len()].as_str(), tick));
            self.number += 1;
        }
        (batch, RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) })
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// As fast as one thread can: the journal's price, with the keeper at work beside it.
fn in_process() {
    const PAIRS: usize = 15;
    const BATCHES: usize = 300;
    let scratch = Scratch::new("in-process");
    let ids = ids(INSTRUMENTS);
    let sides = [plain(), kept(&scratch.0)];
    let mut streams = [0, 1].map(|_| Stream { ids: &ids, number: 0, apart: 10 });
    let mut times = [Vec::new(), Vec::new()];
    let mut behind = 0;
    for _ in 0..PAIRS {
        for (side, (engine, _)) in sides.iter().enumerate() {
            let batches: Vec<_> = (0..BATCHES).map(|_| streams[side].batch()).collect();
            let began = Instant::now();
            for (batch, context) in &batches {
                std::hint::black_box(engine.record_batch(batch, *context));
            }
            times[side].push(began.elapsed().as_secs_f64());
            behind += usize::from(
                engine
                    .journal()
                    .is_some_and(|journal| journal.durability(engine.clock.elapsed()) == Durability::Behind),
            );
        }
    }
    let [bare, stored] = times.map(|times| (BATCHES * TOGETHER) as f64 / median(times));
    println!(
        "in process, flat out: {:.1} M ticks/s bare, {:.1} M/s with the store: {:.2} x (behind in {behind} of {PAIRS})",
        bare / 1e6,
        stored / 1e6,
        stored / bare
    );
    stop(sides);
}

fn stop(sides: [(Arc<Engine>, Option<Keeping>); 2]) {
    for keeping in sides.into_iter().filter_map(|(_, keeping)| keeping) {
        keeping.stop().expect("a keeper that ends");
    }
}

/// 100,000 quotes a second for a while: what is achieved, what the ingestion thread spends, what goes to the disk.
fn paced() {
    const RATE: f64 = 100_000.0;
    const ROUND: Duration = Duration::from_secs(15);
    const PAIRS: usize = 5;
    let scratch = Scratch::new("paced");
    let ids = ids(INSTRUMENTS);
    let sides = [plain(), kept(&scratch.0)];
    let mut streams = [0, 1].map(|_| Stream { ids: &ids, number: 0, apart: 10 });
    let mut rates = [Vec::new(), Vec::new()];
    let mut busy = [0.0, 0.0];
    for _ in 0..PAIRS {
        for (side, (engine, _)) in sides.iter().enumerate() {
            let began = Instant::now();
            let mut sent = 0;
            while began.elapsed() < ROUND {
                let (batch, context) = streams[side].batch();
                let start = Instant::now();
                std::hint::black_box(engine.record_batch(&batch, context));
                busy[side] += start.elapsed().as_secs_f64();
                sent += TOGETHER;
                let due = Duration::from_secs_f64(sent as f64 / RATE);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            rates[side].push(sent as f64 / began.elapsed().as_secs_f64());
        }
    }
    let quotes = streams[1].number;
    let bytes = sides[1].0.journal().map_or(0, |journal| journal.persisted_bytes());
    let [bare, stored] = rates.map(median);
    println!("at 100 k quotes/s: {bare:.0}/s bare, {stored:.0}/s with the store: {:.3} x", stored / bare);
    println!(
        "  the ingestion thread spends {:.0} ns a quote bare, {:.0} ns with the store",
        busy[0] * 1e9 / streams[0].number as f64,
        busy[1] * 1e9 / quotes as f64
    );
    println!("  {:.0} bytes written a quote, snapshots included", bytes as f64 / quotes as f64);
    stop(sides);
    println!("  the file has {} MB", std::fs::metadata(&scratch.0).map_or(0, |file| file.len() >> 20));
}

/// Half an hour of candles, then a minute of the full load that no snapshot covers, then a kill.
fn recovery(instruments: usize) {
    let scratch = Scratch::new("recovery");
    let own = std::env::current_exe().expect("a path of its own");
    let arguments = ["fill".as_ref(), scratch.0.as_os_str()];
    let mut child = Command::new(own).args(arguments).arg(instruments.to_string()).stdout(Stdio::piped()).spawn();
    let child = child.as_mut().expect("a process");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    child.kill().expect("a kill");
    child.wait().expect("an end");
    let options = Options { path: scratch.0.clone(), interval: DEFAULT_INTERVAL };
    let bytes = std::fs::metadata(&scratch.0).map_or(0, |file| file.len() >> 20);
    let report = store::check(&scratch.0).expect("a sound store");
    let began = Instant::now();
    let (store, recovered) = store::open(options, Config::default()).expect("a sound store");
    let took = began.elapsed();
    println!("recovery of {instruments} x 30 minutes and {} ticks ({bytes} MB): {took:.2?}", report.ticks);
    assert_eq!(recovered.aggregator.len(), instruments);
    drop(store);
}

fn fill_until_killed(path: &Path, instruments: usize) {
    let ids = ids(instruments);
    // Every candle of every instrument, put into the store by its first snapshot.
    let (engine, keeping) = kept(path);
    for minute in 0..30 {
        for quarter in 0..4 {
            let now = Timestamp::from_seconds(BEGIN_SECONDS + minute * 60 + quarter * 15).expect("a time of ours");
            let context = RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) };
            for chunk in ids.chunks(TOGETHER) {
                let batch: Vec<_> =
                    chunk.iter().map(|id| (id.as_str(), Tick::new(now, 100.0 + quarter as f64))).collect();
                std::hint::black_box(engine.record_batch(&batch, context));
            }
        }
    }
    keeping.expect("a keeper").stop().expect("a keeper that ends");
    drop(engine);
    let (engine, _keeping) = kept(path);
    let mut stream = Stream { ids: &ids, number: 180_000_000, apart: 10 };
    // A minute at two quotes a second for each, but not in a minute's time.
    for _ in 0..instruments * 120 / TOGETHER {
        let (batch, context) = stream.batch();
        std::hint::black_box(engine.record_batch(&batch, context));
        std::thread::sleep(Duration::from_micros(1500));
    }
    std::thread::sleep(Duration::from_millis(500));
    println!("full");
    let _ = std::io::stdout().flush();
    std::thread::sleep(Duration::from_mins(1));
}
