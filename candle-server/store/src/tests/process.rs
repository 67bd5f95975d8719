//! A simulated server process with a store, and a log of its writes. The test runs the process step by step.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, Config, Gaps, InstrumentId, RecordContext, Tick, Timestamp, Unlisted, WindowCandle};
use candle_engine::Engine;
use candle_engine::clock::{Clock, ClockMode};
use candle_engine::journal::{Durability, Journal};

use super::disk::{Disk, Loss};
use crate::file::{self, File, Location};
use crate::writer::Writer;

/// The limit on instruments. It is so low that some instruments are rejected.
const MAX_INSTRUMENTS: usize = 40;

/// One write of a test.
#[derive(Clone, Debug)]
enum TestWrite {
    List(String, Option<String>),
    Delist(String),
    Clear,
    Ticks(Vec<(String, Tick)>, Timestamp, Unlisted),
    View(String),
}

/// A process with an engine and a store on a simulated disk.
pub(super) struct Process {
    pub(super) engine: Arc<Engine>,
    pub(super) journal: Arc<Journal>,
    pub(super) disk: Disk,
    writer: Writer,
    log: Vec<TestWrite>,
    /// The number of durable writes. They are the first writes of the log.
    durable: usize,
    /// The time since the start of the process.
    pub(super) elapsed: Duration,
    now: Timestamp,
    seq: u64,
}

/// All values that reads of the engine return, except the age of quotes.
type Visible = Vec<(InstrumentId, Option<Arc<str>>, u64, Vec<WindowCandle>)>;

pub(super) fn config(seed: u64) -> Config {
    Config::default().with_seed(seed).with_stripes(16).with_max_instruments(MAX_INSTRUMENTS)
}

impl Process {
    /// Starts the first process on an empty disk.
    pub(super) fn start(disk: Disk, seed: u64) -> Self {
        file::initialise(Box::new(disk.clone()), config(seed)).unwrap();
        Self::on(disk, Timestamp::from_seconds(1_700_000_000).unwrap(), Vec::new())
    }

    fn on(disk: Disk, now: Timestamp, log: Vec<TestWrite>) -> Self {
        let file = File::open(Box::new(disk.clone())).unwrap();
        let state = file.recover(config(0)).unwrap();
        file.enable_writes().unwrap();
        let journal = Arc::new(Journal::new(state.next_lsn, None));
        let engine = Engine::new(state.aggregator, Clock::new(ClockMode::Feed)).with_journal(Arc::clone(&journal));
        let engine = Arc::new(engine);
        let backend = disk.clone();
        let open_backend = move |_: &Path| Ok(Box::new(backend.clone()) as _);
        let location = Location { path: "disk".into(), open_backend: Box::new(open_backend) };
        let covered = (state.covered, state.last_batch);
        let writer = Writer::new(Arc::clone(&engine), Arc::clone(&journal), location, file, covered, Duration::ZERO);
        let (durable, seq) = (log.len(), journal.next_lsn());
        Self { engine, journal, disk, writer, log, durable, elapsed: Duration::ZERO, now, seq }
    }

    pub(super) fn advance(&mut self, time: Duration) {
        self.elapsed += time;
        self.now = self.now.saturating_add(i64::try_from(time.as_micros()).unwrap());
    }

    /// Makes up to five random writes.
    pub(super) fn write_at_random(&mut self, random: &mut fastrand::Rng) {
        for _ in 0..random.u8(..6) {
            let id = random.u8(..50).to_string();
            let write = match random.u8(..100) {
                0..10 => TestWrite::List(id, (random.u8(..2) == 0).then(|| format!("number {}", random.u8(..)))),
                10..15 => TestWrite::Delist(id),
                15..60 => TestWrite::View(id),
                60 if random.u8(..5) == 0 => TestWrite::Clear,
                _ => self.random_ticks(random),
            };
            self.apply(write);
        }
    }

    fn random_ticks(&mut self, random: &mut fastrand::Rng) -> TestWrite {
        let count = random.usize(1..30);
        let ticks = (0..count).map(|_| {
            // Most ticks are in order. Some are late, too late, or have a bad price.
            let late = if random.u8(..4) == 0 { random.i64(..2_000_000_000) } else { 0 };
            let price = if random.u8(..20) == 0 { -1.0 } else { f64::from(random.u32(1..1000)) / 8.0 };
            self.seq += 1;
            let tick = Tick::new(self.now.saturating_add(-late), price).with_seq(self.seq);
            (random.u8(..50).to_string(), tick.with_size(f64::from(random.u8(..3))))
        });
        let ticks = ticks.collect();
        TestWrite::Ticks(ticks, self.now, if random.bool() { Unlisted::List } else { Unlisted::Reject })
    }

    /// Records `count` ticks of one instrument.
    pub(super) fn ticks(&mut self, count: usize) {
        let ticks = (0..count).map(|index| {
            let tick = Tick::new(self.now, 1.0 + index as f64).with_seq(self.seq + index as u64);
            ("1".to_owned(), tick)
        });
        let ticks = ticks.collect();
        self.seq += count as u64;
        self.apply(TestWrite::Ticks(ticks, self.now, Unlisted::List));
    }

    fn apply(&mut self, write: TestWrite) {
        match &write {
            TestWrite::List(id, description) => drop(self.engine.list(id, description.as_deref())),
            TestWrite::Delist(id) => drop(self.engine.delist(id)),
            TestWrite::Clear => self.engine.clear_candles(),
            TestWrite::View(id) => drop(self.engine.aggregator.history_counting_view(id)),
            TestWrite::Ticks(ticks, now, unlisted) => {
                let batch: Vec<_> = ticks.iter().map(|(id, tick)| (id.as_str(), *tick)).collect();
                let context = RecordContext { unlisted: *unlisted, ..RecordContext::from(*now) };
                let _ = self.engine.record_batch(&batch, context);
            }
        }
        self.log.push(write);
    }

    /// Makes the writer write once.
    pub(super) fn commit(&mut self) {
        self.writer.write(self.elapsed);
        if self.journal.durability(self.elapsed) == Durability::Persisted {
            self.durable = self.log.len();
        }
    }

    /// Starts the next process after a loss. Its log contains the durable writes only.
    pub(super) fn crash(mut self, loss: Loss) -> Self {
        self.log.truncate(self.durable);
        Self::on(self.disk.after(loss), self.now, self.log)
    }

    /// Starts the next process after a clean stop.
    pub(super) fn restart(self) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        drop(stop);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        // The result is ignored, because the disk of some tests is full. The test compares the content afterwards.
        let _ = runtime.block_on(self.writer.run(stopped));
        Self::on(self.disk, self.now, self.log)
    }

    pub(super) fn assert_durable_writes_are_present(&self, when: &str) {
        let oracle = Aggregator::new(config(0));
        for write in &self.log[..self.durable] {
            match write {
                TestWrite::List(id, description) => drop(oracle.list(id, description.as_deref())),
                TestWrite::Delist(id) => drop(oracle.delist(id)),
                TestWrite::Clear => oracle.clear_candles(),
                TestWrite::View(id) => drop(oracle.history_counting_view(id)),
                TestWrite::Ticks(ticks, now, unlisted) => {
                    for (id, tick) in ticks {
                        let _ =
                            oracle.record(id, tick, RecordContext { unlisted: *unlisted, ..RecordContext::from(*now) });
                    }
                }
            }
        }
        assert_eq!(self.visible(&self.engine.aggregator), self.visible(&oracle), "{when}");
        let tops = [&self.engine.aggregator, &oracle].map(|aggregator| {
            let mut top = Vec::new();
            aggregator.top_into(10, &mut top);
            top
        });
        assert_eq!(tops[0], tops[1], "{when}");
    }

    fn visible(&self, aggregator: &Aggregator) -> Visible {
        let page = aggregator.page(None, "", MAX_INSTRUMENTS + 1);
        let histories = page.into_iter().filter_map(|summary| {
            let history = aggregator.history(summary.id.as_str())?;
            let candles = history.candles(self.now, Gaps::Filled).collect();
            Some((summary.id, history.description.clone(), history.views, candles))
        });
        histories.collect()
    }
}
