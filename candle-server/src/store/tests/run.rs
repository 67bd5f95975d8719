//! One process with a store, driven by hand, beside the obvious program.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, Config, Gaps, InstrumentId, RecordContext, Tick, Timestamp, Unlisted, WindowCandle};

use super::super::file::{self, File, Place};
use super::super::keeper::Keeper;
use super::disk::{Disk, Loss};
use crate::clock::{Clock, ClockMode};
use crate::engine::Engine;
use crate::journal::{Durability, Journal};

/// So few that instruments are refused for want of room, too.
const MAX_INSTRUMENTS: usize = 40;

/// One write, as a test makes it.
#[derive(Clone, Debug)]
enum Write {
    List(String, Option<String>),
    Delist(String),
    Clear,
    Ticks(Vec<(String, Tick)>, Timestamp, Unlisted),
    View(String),
}

pub(super) struct Run {
    pub(super) engine: Arc<Engine>,
    pub(super) journal: Arc<Journal>,
    pub(super) disk: Disk,
    keeper: Keeper,
    writes: Vec<Write>,
    /// How many of them were kept.
    kept: usize,
    /// Since the process's start.
    pub(super) elapsed: Duration,
    now: Timestamp,
    seq: u64,
}

/// Everything that a reader can see, but for the age of quotes.
type Seen = Vec<(InstrumentId, Option<Arc<str>>, u64, Vec<WindowCandle>)>;

pub(super) fn config(seed: u64) -> Config {
    Config::default().with_seed(seed).with_stripes(16).with_max_instruments(MAX_INSTRUMENTS)
}

impl Run {
    /// A first process.
    pub(super) fn start(disk: Disk, seed: u64) -> Self {
        file::initialise(Box::new(disk.clone()), config(seed)).unwrap();
        Self::on(disk, Timestamp::from_seconds(1_700_000_000).unwrap(), Vec::new())
    }

    fn on(disk: Disk, now: Timestamp, writes: Vec<Write>) -> Self {
        let file = File::open(Box::new(disk.clone())).unwrap();
        let content = file.recover(config(0)).unwrap();
        file.go_live().unwrap();
        let journal = Arc::new(Journal::new(content.next_lsn, None));
        let engine = Engine::new(content.aggregator, Clock::new(ClockMode::Feed)).with_journal(Arc::clone(&journal));
        let engine = Arc::new(engine);
        let medium = disk.clone();
        let open = move |_: &Path| Ok(Box::new(medium.clone()) as _);
        let place = Place { path: "disk".into(), medium: Box::new(open) };
        let state = (content.covered, content.last_batch);
        let keeper = Keeper::new(Arc::clone(&engine), Arc::clone(&journal), place, file, state, Duration::ZERO);
        let (kept, seq) = (writes.len(), journal.next_lsn());
        Self { engine, journal, disk, keeper, writes, kept, elapsed: Duration::ZERO, now, seq }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.elapsed += time;
        self.now = self.now.saturating_add(i64::try_from(time.as_micros()).unwrap());
    }

    /// Some writes of every kind.
    pub(super) fn write(&mut self, random: &mut fastrand::Rng) {
        for _ in 0..random.u8(..6) {
            let id = random.u8(..50).to_string();
            let write = match random.u8(..100) {
                0..10 => Write::List(id, (random.u8(..2) == 0).then(|| format!("number {}", random.u8(..)))),
                10..15 => Write::Delist(id),
                15..60 => Write::View(id),
                60 if random.u8(..5) == 0 => Write::Clear,
                _ => self.some_ticks(random),
            };
            self.apply(write);
        }
    }

    fn some_ticks(&mut self, random: &mut fastrand::Rng) -> Write {
        let count = random.usize(1..30);
        let ticks = (0..count).map(|_| {
            // Mostly in order, some late, some too late, some bad.
            let late = if random.u8(..4) == 0 { random.i64(..2_000_000_000) } else { 0 };
            let price = if random.u8(..20) == 0 { -1.0 } else { f64::from(random.u32(1..1000)) / 8.0 };
            self.seq += 1;
            let tick = Tick::new(self.now.saturating_add(-late), price).with_seq(self.seq);
            (random.u8(..50).to_string(), tick.with_size(f64::from(random.u8(..3))))
        });
        let ticks = ticks.collect();
        Write::Ticks(ticks, self.now, if random.bool() { Unlisted::List } else { Unlisted::Reject })
    }

    /// Ticks of one instrument, as many as asked.
    pub(super) fn ticks(&mut self, count: usize) {
        let ticks = (0..count).map(|place| {
            let tick = Tick::new(self.now, 1.0 + place as f64).with_seq(self.seq + place as u64);
            ("1".to_owned(), tick)
        });
        let ticks = ticks.collect();
        self.seq += count as u64;
        self.apply(Write::Ticks(ticks, self.now, Unlisted::List));
    }

    fn apply(&mut self, write: Write) {
        match &write {
            Write::List(id, description) => drop(self.engine.list(id, description.as_deref())),
            Write::Delist(id) => drop(self.engine.delist(id)),
            Write::Clear => self.engine.clear_candles(),
            Write::View(id) => drop(self.engine.aggregator.history_counting_view(id)),
            Write::Ticks(ticks, now, unlisted) => {
                let batch: Vec<_> = ticks.iter().map(|(id, tick)| (id.as_str(), *tick)).collect();
                let context = RecordContext { unlisted: *unlisted, ..RecordContext::from(*now) };
                let _ = self.engine.record_batch(&batch, context);
            }
        }
        self.writes.push(write);
    }

    pub(super) fn turn(&mut self) {
        self.keeper.turn(self.elapsed);
        if self.journal.durability(self.elapsed) == Durability::Persisted {
            self.kept = self.writes.len();
        }
    }

    /// The next process after a loss; what was not kept was never written, as far as it knows.
    pub(super) fn lose(mut self, loss: Loss) -> Self {
        self.writes.truncate(self.kept);
        Self::on(self.disk.after(loss), self.now, self.writes)
    }

    /// The next process after a clean stop.
    pub(super) fn stop(self) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel();
        drop(stop);
        // Some of these runs end without room on purpose; what the file holds is asked afterwards.
        let _ = self.keeper.run(&stopped);
        Self::on(self.disk, self.now, self.writes)
    }

    pub(super) fn assert_nothing_kept_is_lost(&self, when: &str) {
        let oracle = Aggregator::new(config(0));
        for write in &self.writes[..self.kept] {
            match write {
                Write::List(id, description) => drop(oracle.list(id, description.as_deref())),
                Write::Delist(id) => drop(oracle.delist(id)),
                Write::Clear => oracle.clear_candles(0),
                Write::View(id) => drop(oracle.history_counting_view(id)),
                Write::Ticks(ticks, now, unlisted) => {
                    for (id, tick) in ticks {
                        let _ =
                            oracle.record(id, tick, RecordContext { unlisted: *unlisted, ..RecordContext::from(*now) });
                    }
                }
            }
        }
        assert_eq!(self.seen(&self.engine.aggregator), self.seen(&oracle), "{when}");
        let tops = [&self.engine.aggregator, &oracle].map(|aggregator| {
            let mut top = Vec::new();
            aggregator.top(10, &mut top);
            top
        });
        assert_eq!(tops[0], tops[1], "{when}");
    }

    fn seen(&self, aggregator: &Aggregator) -> Seen {
        let page = aggregator.page(None, "", MAX_INSTRUMENTS + 1);
        let histories = page.into_iter().filter_map(|summary| {
            let history = aggregator.history(summary.id.as_str())?;
            let candles = history.candles(self.now, Gaps::Filled).collect();
            Some((summary.id, history.description.clone(), history.views, candles))
        });
        histories.collect()
    }
}
