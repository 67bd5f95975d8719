//! The cost of the store: ingestion with and without it, recovery by number of instruments, bytes written per quote.
//!
//! `cargo bench --bench store` runs all sections; `-- in-process`, `-- paced` or `-- recovery` runs one. The contenders
//! of a pair alternate within one run, and ratios are of medians. The file is created in the system's temporary
//! directory: set `TMPDIR` to measure another disk.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Aggregator, Config, RecordContext, Tick, Timestamp, Unlisted};
use candle_server::engine::Engine;
use candle_server::engine::clock::{Clock, ClockMode};
use candle_server::engine::journal::{Durability, Journal};
use candle_server::store::{self, DEFAULT_INTERVAL, Options, WriterHandle};

const INSTRUMENTS: usize = 50_000;
/// The ticks in one batch: ten milliseconds of the full load.
const BATCH: usize = 1000;
/// The time of the first tick.
const FIRST_SECONDS: i64 = 1_700_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, fill, path, instruments] = &arguments[..]
        && fill == "fill"
    {
        return fill_until_killed(Path::new(path), instruments.parse().expect("a number"));
    }
    if arguments.iter().any(|argument| argument == "--test") {
        return println!("store: this benchmark has no quick test");
    }
    let names: Vec<&String> = arguments[1..].iter().filter(|argument| !argument.starts_with("--")).collect();
    let is_selected = |section| names.is_empty() || names.iter().any(|name| *name == section);
    if is_selected("in-process") {
        in_process();
    }
    if is_selected("paced") {
        paced();
    }
    if is_selected("recovery") {
        [1000, 10_000, INSTRUMENTS].into_iter().for_each(recovery);
    }
}

/// A temporary file, removed when dropped.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("candle-bench-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn ids(instruments: usize) -> Vec<String> {
    (0..instruments).map(|number| format!("INSTR{number:07}")).collect()
}

fn without_store() -> (Arc<Engine>, Option<WriterHandle>) {
    (Arc::new(Engine::new(Aggregator::new(Config::default()), Clock::new(ClockMode::Feed))), None)
}

fn with_store(path: &Path) -> (Arc<Engine>, Option<WriterHandle>) {
    let options = Options { path: path.to_owned(), interval: DEFAULT_INTERVAL };
    let (store, recovered) = store::open(options, Config::default()).expect("a store");
    let engine =
        Engine::new(recovered.aggregator, Clock::new(ClockMode::Feed)).with_journal(Arc::clone(&recovered.journal));
    let engine = Arc::new(engine);
    let writer = store.start_writer(Arc::clone(&engine), recovered.journal).expect("a thread");
    (engine, Some(writer))
}

/// An endless stream of ticks over all instruments, `step` microseconds apart.
struct Stream<'i> {
    ids: &'i [String],
    number: u64,
    step: i64,
}

impl<'i> Stream<'i> {
    fn batch(&mut self) -> (Vec<(&'i str, Tick)>, RecordContext) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut now = Timestamp::EPOCH;
        for _ in 0..BATCH {
            let mixed = self.number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            let offset = i64::try_from(self.number).unwrap_or(0) * self.step;
            now = Timestamp::from_micros(FIRST_SECONDS * 1_000_000 + offset).expect("a valid time");
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

/// Records ticks as fast as one thread can, while the writer thread runs: the cost of the journal.
fn in_process() {
    const PAIRS: usize = 15;
    const BATCHES: usize = 300;
    let file = TemporaryFile::new("in-process");
    let ids = ids(INSTRUMENTS);
    let sides = [without_store(), with_store(&file.0)];
    let mut streams = [0, 1].map(|_| Stream { ids: &ids, number: 0, step: 10 });
    let mut times = [Vec::new(), Vec::new()];
    let mut behind = 0;
    for _ in 0..PAIRS {
        for (side, (engine, _)) in sides.iter().enumerate() {
            let batches: Vec<_> = (0..BATCHES).map(|_| streams[side].batch()).collect();
            let started = Instant::now();
            for (batch, context) in &batches {
                std::hint::black_box(engine.record_batch(batch, *context));
            }
            times[side].push(started.elapsed().as_secs_f64());
            behind += usize::from(
                engine
                    .journal()
                    .is_some_and(|journal| journal.durability(engine.clock.elapsed()) == Durability::Behind),
            );
        }
    }
    let [without, with] = times.map(|times| (BATCHES * BATCH) as f64 / median(times));
    println!(
        "in process, at full speed: {:.1} M ticks/s without, {:.1} M/s with the store: {:.2} x (behind in {behind} of \
         {PAIRS})",
        without / 1e6,
        with / 1e6,
        with / without
    );
    stop(sides);
}

fn stop(sides: [(Arc<Engine>, Option<WriterHandle>); 2]) {
    for writer in sides.into_iter().filter_map(|(_, writer)| writer) {
        stop_writer(writer);
    }
}

fn stop_writer(writer: WriterHandle) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(writer.stop()).expect("a clean stop");
}

/// Records 100,000 quotes per second: prints the rate reached, the time of the ingestion thread, and the bytes written.
fn paced() {
    const RATE: f64 = 100_000.0;
    const ROUND: Duration = Duration::from_secs(15);
    const PAIRS: usize = 5;
    let file = TemporaryFile::new("paced");
    let ids = ids(INSTRUMENTS);
    let sides = [without_store(), with_store(&file.0)];
    let mut streams = [0, 1].map(|_| Stream { ids: &ids, number: 0, step: 10 });
    let mut rates = [Vec::new(), Vec::new()];
    let mut busy = [0.0, 0.0];
    for _ in 0..PAIRS {
        for (side, (engine, _)) in sides.iter().enumerate() {
            let started = Instant::now();
            let mut sent = 0;
            while started.elapsed() < ROUND {
                let (batch, context) = streams[side].batch();
                let start = Instant::now();
                std::hint::black_box(engine.record_batch(&batch, context));
                busy[side] += start.elapsed().as_secs_f64();
                sent += BATCH;
                let due = Duration::from_secs_f64(sent as f64 / RATE);
                std::thread::sleep(due.saturating_sub(started.elapsed()));
            }
            rates[side].push(sent as f64 / started.elapsed().as_secs_f64());
        }
    }
    let quotes = streams[1].number;
    let bytes = sides[1].0.journal().map_or(0, Journal::persisted_bytes);
    let [without, with] = rates.map(median);
    println!("at 100 k quotes/s: {without:.0}/s without, {with:.0}/s with the store: {:.3} x", with / without);
    println!(
        "  the ingestion thread takes {:.0} ns per quote without, {:.0} ns with the store",
        busy[0] * 1e9 / streams[0].number as f64,
        busy[1] * 1e9 / quotes as f64
    );
    println!("  {:.0} bytes written per quote, snapshots included", bytes as f64 / quotes as f64);
    stop(sides);
    println!("  the size of the file is {} MB", std::fs::metadata(&file.0).map_or(0, |file| file.len() >> 20));
}

/// Measures recovery after a kill: half an hour of candles, then a minute of the full load that no snapshot covers.
fn recovery(instruments: usize) {
    let file = TemporaryFile::new("recovery");
    let program = std::env::current_exe().expect("the path of this program");
    let arguments = ["fill".as_ref(), file.0.as_os_str()];
    let mut child = Command::new(program).args(arguments).arg(instruments.to_string()).stdout(Stdio::piped()).spawn();
    let child = child.as_mut().expect("a process");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    child.kill().expect("a kill");
    child.wait().expect("an end");
    let options = Options { path: file.0.clone(), interval: DEFAULT_INTERVAL };
    let bytes = std::fs::metadata(&file.0).map_or(0, |file| file.len() >> 20);
    let report = store::check(&file.0).expect("a sound store");
    let started = Instant::now();
    let (store, recovered) = store::open(options, Config::default()).expect("a sound store");
    let took = started.elapsed();
    println!("recovery of {instruments} x 30 minutes and {} ticks ({bytes} MB): {took:.2?}", report.ticks);
    assert_eq!(recovered.aggregator.len(), instruments);
    drop(store);
}

fn fill_until_killed(path: &Path, instruments: usize) {
    let ids = ids(instruments);
    // Fills all candles of all instruments. The first snapshots write them to the store.
    let (engine, writer) = with_store(path);
    for minute in 0..30 {
        for quarter in 0..4 {
            let now = Timestamp::from_seconds(FIRST_SECONDS + minute * 60 + quarter * 15).expect("a valid time");
            let context = RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) };
            for chunk in ids.chunks(BATCH) {
                let batch: Vec<_> =
                    chunk.iter().map(|id| (id.as_str(), Tick::new(now, 100.0 + quarter as f64))).collect();
                std::hint::black_box(engine.record_batch(&batch, context));
            }
        }
    }
    stop_writer(writer.expect("a writer"));
    drop(engine);
    let (engine, _writer) = with_store(path);
    let mut stream = Stream { ids: &ids, number: 180_000_000, step: 10 };
    // A minute of two quotes per second and instrument, in less than a minute of real time.
    for _ in 0..instruments * 120 / BATCH {
        let (batch, context) = stream.batch();
        std::hint::black_box(engine.record_batch(&batch, context));
        std::thread::sleep(Duration::from_micros(1500));
    }
    std::thread::sleep(Duration::from_millis(500));
    println!("full");
    let _ = std::io::stdout().flush();
    std::thread::sleep(Duration::from_mins(1));
}
