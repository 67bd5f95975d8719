//! The thread that keeps what the journal hands over, and mends the log where it broke off.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use candle_core::ViewTotal;

use super::Fault;
use super::file::{Commit, CoverageParts, File, Place};
use crate::codec;
use crate::engine::Engine;
use crate::journal::{Batch, Drained, Journal};

/// How long until every stripe has a new snapshot, while anything is written: longer means more to replay, shorter more
/// to write. A minute's candle is then written once or twice.
const ROUND: Duration = Duration::from_mins(1);

/// How long to wait before a file that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often it is kept that the feed is up and has nothing to tell.
const COVERAGE_EVERY: Duration = Duration::from_secs(1);

/// How often the log repeats that nothing is kept.
const REPEAT: Duration = Duration::from_mins(1);

/// Keeps one engine's writes in one file.
pub(super) struct Keeper {
    engine: Arc<Engine>,
    journal: Arc<Journal>,
    place: Place,
    interval: Duration,
    /// `None` while the file can't be used.
    file: Option<File>,
    last_batch: u64,
    round: Round,
    /// When coverage is kept at the latest, whether anything is written or not.
    coverage_due: Duration,
    trouble: Option<Trouble>,
}

/// Since when nothing can be kept.
struct Trouble {
    since: Duration,
    retry: Duration,
    repeat: Duration,
}

/// Which minutes are covered, up to now.
fn coverage(engine: &Engine) -> CoverageParts {
    engine.feeds.coverage_ring().to_parts(engine.clock.now())
}

/// Which stripes are due.
pub(super) struct Round {
    /// By stripe: the number of the last batch that its snapshot covers.
    covered: Vec<u64>,
    /// How many snapshots were due so far, as a share of a stripe and [`ROUND`].
    began: Duration,
    done: u128,
    next: usize,
}

impl Round {
    pub(super) fn new(covered: Vec<u64>, now: Duration) -> Self {
        // The one that was longest not written is first.
        let next = (0..covered.len()).min_by_key(|stripe| covered[*stripe]).unwrap_or(0);
        Self { covered, began: now, done: 0, next }
    }

    /// The last batch that every snapshot covers.
    pub(super) fn floor(&self) -> u64 {
        self.covered.iter().copied().min().unwrap_or(0)
    }

    /// The stripes that are due at `now`, when `batch` is the last; they are covered through it from then on.
    pub(super) fn due(&mut self, now: Duration, batch: u64) -> Vec<u32> {
        let stripes = self.covered.len();
        let target = now.saturating_sub(self.began).as_micros() * stripes as u128 / ROUND.as_micros();
        // Whoever was kept waiting for long owes one round, not many; where no batch is left there is nothing to cover.
        let most = if self.floor() < batch { stripes } else { 0 };
        let count = usize::try_from(target.saturating_sub(self.done)).unwrap_or(most).min(most);
        self.done = self.done.max(target);
        let mut due = Vec::with_capacity(count);
        for _ in 0..count {
            self.covered[self.next] = batch;
            due.push(u32::try_from(self.next).unwrap_or(u32::MAX));
            self.next = (self.next + 1) % stripes;
        }
        due
    }
}

impl Keeper {
    pub(super) fn new(
        engine: Arc<Engine>,
        journal: Arc<Journal>,
        place: Place,
        file: File,
        (covered, last_batch): (Vec<u64>, u64),
        interval: Duration,
    ) -> Self {
        let now = engine.clock.elapsed();
        journal.record_persisted(now, 0);
        let round = Round::new(covered, now);
        Self { engine, journal, place, interval, file: Some(file), last_batch, round, coverage_due: now, trouble: None }
    }

    /// Keeps what comes every interval until `stop` says so or is gone, and then once more.
    pub(super) fn run(mut self, stop: &Receiver<()>) -> io::Result<()> {
        let mut next = self.engine.clock.elapsed() + self.interval;
        loop {
            let wait = next.saturating_sub(self.engine.clock.elapsed());
            let is_over = !matches!(stop.recv_timeout(wait), Err(RecvTimeoutError::Timeout));
            let now = self.engine.clock.elapsed();
            next = now + self.interval;
            if is_over {
                return self.finish(now);
            }
            self.turn(now);
        }
    }

    /// Keeps what came since the last turn.
    pub(super) fn turn(&mut self, now: Duration) {
        let kept = self.keep(now);
        self.conclude(now, kept);
    }

    /// The last turn, which does not wait before it tries again.
    fn finish(mut self, now: Duration) -> io::Result<()> {
        if let Some(trouble) = &mut self.trouble {
            trouble.retry = now;
        }
        self.turn(now);
        match self.file.take().map(File::close) {
            Some(Ok(())) => Ok(()),
            Some(Err(fault)) => {
                Err(io::Error::other(format!("the store {} did not close: {fault}", self.place.path.display())))
            }
            None => Err(io::Error::other(format!("the store {} lacks what came last", self.place.path.display()))),
        }
    }

    fn keep(&mut self, now: Duration) -> Result<Option<u64>, Fault> {
        if self.file.is_none() {
            if self.trouble.as_ref().is_some_and(|trouble| now < trouble.retry) {
                return Ok(None);
            }
            let file = self.place.open()?;
            file.go_live()?;
            self.last_batch = self.last_batch.max(file.last_batch()?);
            self.file = Some(file);
        }
        // ViewTotal first: then the writes that their lsns tell of are in this batch, or in one before.
        let views = self.engine.aggregator.drain_view_totals();
        match self.journal.drain() {
            Drained::Batch(batch) => self.append(now, &batch, &views).map(Some),
            Drained::Suspended => self.keep_all().map(Some),
        }
    }

    /// Appends a batch, and writes the snapshots that are due in the same transaction that drops what they cover.
    fn append(&mut self, now: Duration, batch: &Batch, views: &[ViewTotal]) -> Result<u64, Fault> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let aggregator = &self.engine.aggregator;
        let is_new = !batch.is_empty() || !views.is_empty();
        self.last_batch += u64::from(is_new);
        let due = self.round.due(now, self.last_batch);
        let is_coverage_due = now >= self.coverage_due && self.engine.feeds.is_delivering();
        if !is_new && due.is_empty() && !is_coverage_due {
            return Ok(0);
        }
        self.coverage_due = now + COVERAGE_EVERY;
        let bytes = codec::encode(batch, views, aggregator.config().rules());
        file.commit(Commit {
            batch: is_new.then_some((self.last_batch, bytes.as_slice())),
            parts: due.into_iter().filter_map(|stripe| aggregator.stripe_snapshot(stripe)),
            covered: self.last_batch,
            drop_through: self.round.floor(),
            now: batch.now(),
            feed: self.journal.last_feed().as_deref(),
            coverage: coverage(&self.engine),
        })
    }

    /// Writes every stripe, and mends the log by dropping it.
    fn keep_all(&mut self) -> Result<u64, Fault> {
        let Some(file) = &mut self.file else { return Ok(0) };
        self.journal.resume();
        let aggregator = &self.engine.aggregator;
        let bytes = file.commit(Commit {
            batch: None,
            parts: aggregator.snapshot(),
            covered: self.last_batch,
            drop_through: u64::MAX,
            now: Some(self.engine.clock.now()),
            feed: self.journal.last_feed().as_deref(),
            coverage: coverage(&self.engine),
        })?;
        self.round.covered.fill(self.last_batch);
        Ok(bytes)
    }

    /// Says how it went: where nothing can be kept the log breaks off, and is mended when something can.
    fn conclude(&mut self, now: Duration, kept: Result<Option<u64>, Fault>) {
        let path = self.place.path.display();
        match kept {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                self.journal.record_persisted(now, bytes);
                if let Some(trouble) = self.trouble.take() {
                    let missed = now.saturating_sub(trouble.since);
                    tracing::info!(?missed, "the store {path} is kept again, and nothing is missing");
                }
            }
            Err(fault) => {
                self.file = None;
                self.journal.suspend();
                self.journal.record_failure();
                let trouble = self.trouble.get_or_insert(Trouble { since: now, retry: now, repeat: now });
                trouble.retry = now + RETRY;
                if trouble.repeat <= now {
                    trouble.repeat = now + REPEAT;
                    tracing::error!(
                        "the store {path} can't be written: {fault}; serving goes on, a restart would lose data"
                    );
                }
            }
        }
    }
}
