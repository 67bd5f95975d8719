//! The writer thread: appends the journal's batches to the store file, and later replaces them with stripe snapshots.
//!
//! A stripe is a part of the aggregator behind one lock. A batch is covered by a stripe's snapshot if the snapshot
//! contains all of its writes. The file also contains the coverage of the feed: the part of each minute for which the
//! feed was up.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use candle_core::replication::ViewTotal;
use candle_engine::Engine;
use candle_engine::codec;
use candle_engine::journal::{Batch, Drained, Journal};
use candle_engine::stripe_rounds::StripeRounds;
use candle_engine::throttled_log::ThrottledLog;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::StoreErrorKind;
use crate::file::{Commit, CoverageParts, File, Location};

/// The time in which every stripe gets a new snapshot while there are writes: one minute.
///
/// With a longer time, a restart replays more batches. With a shorter time, more bytes are written. With one minute,
/// snapshots contain each forming candle once or twice.
const ROUND: Duration = Duration::from_mins(1);

/// The pause after a failure before the writer tries the file again: 1 s.
const RETRY: Duration = Duration::from_secs(1);

/// The maximum time without a commit while the feed delivers: 1 s. Each commit extends the stored coverage.
const COVERAGE_INTERVAL: Duration = Duration::from_secs(1);

/// The minimum time between two log lines about one outage: 1 min.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Writes the changes of one engine to one file.
pub(crate) struct Writer {
    engine: Arc<Engine>,
    journal: Arc<Journal>,
    location: Location,
    interval: Duration,
    /// The open file; `None` during an outage.
    file: Option<File>,
    last_batch: u64,
    snapshots: SnapshotSchedule,
    /// The time at which the next commit is due to extend the coverage.
    coverage_due: Duration,
    outage: Option<Outage>,
}

/// A period in which the file can't be written.
struct Outage {
    since: Duration,
    next_try: Duration,
    log: ThrottledLog,
}

/// Selects the stripes that get a new snapshot, and records which batches the stored snapshots cover.
struct SnapshotSchedule {
    /// The number of the last batch that each stripe's snapshot covers, by stripe number.
    covered: Vec<u64>,
    rounds: StripeRounds,
}

impl SnapshotSchedule {
    fn new(covered: Vec<u64>, now: Duration) -> Self {
        let stripes = u32::try_from(covered.len()).unwrap_or(u32::MAX);
        // The stripe with the oldest snapshot is first.
        let first = (0..stripes).min_by_key(|stripe| covered[*stripe as usize]).unwrap_or(0);
        Self { covered, rounds: StripeRounds::new(stripes, first, now, ROUND) }
    }

    /// Returns the number of the last batch that every snapshot covers.
    fn covered_by_all(&self) -> u64 {
        self.covered.iter().copied().min().unwrap_or(0)
    }

    /// Returns the stripes that are due for a snapshot at `now`. The caller must write snapshots that cover all batches
    /// up to `last_batch`.
    fn take_due(&mut self, now: Duration, last_batch: u64) -> Vec<u32> {
        let is_needed = self.covered_by_all() < last_batch;
        let mut due = Vec::new();
        while let Some(stripe) = self.rounds.next_due(now) {
            if is_needed {
                self.covered[stripe as usize] = last_batch;
                due.push(stripe);
            }
        }
        due
    }
}

/// Returns the coverage of the feed by minute, up to now.
fn coverage(engine: &Engine) -> CoverageParts {
    engine.feeds.coverage_ring().to_parts(engine.clock.now())
}

impl Writer {
    pub(crate) fn new(
        engine: Arc<Engine>,
        journal: Arc<Journal>,
        location: Location,
        file: File,
        (covered, last_batch): (Vec<u64>, u64),
        interval: Duration,
    ) -> Self {
        let now = engine.clock.elapsed();
        journal.record_persisted(now, 0);
        let snapshots = SnapshotSchedule::new(covered, now);
        let file = Some(file);
        Self { engine, journal, location, interval, file, last_batch, snapshots, coverage_due: now, outage: None }
    }

    /// Writes the changes once per interval until `stop` resolves. Then writes once more and closes the file.
    pub(crate) async fn run(mut self, mut stop: oneshot::Receiver<()>) -> io::Result<()> {
        let mut next = self.engine.clock.elapsed() + self.interval;
        loop {
            let wait = next.saturating_sub(self.engine.clock.elapsed());
            let is_stopped = timeout(wait, &mut stop).await.is_ok();
            let now = self.engine.clock.elapsed();
            next = now + self.interval;
            if is_stopped {
                return self.finish(now);
            }
            self.write(now);
        }
    }

    /// Writes the changes since the last call, and records the outcome in the journal and the log.
    pub(crate) fn write(&mut self, now: Duration) {
        let result = self.try_write(now);
        self.note(now, result);
    }

    /// Writes a last time and closes the file. The pause after a failure is skipped.
    fn finish(mut self, now: Duration) -> io::Result<()> {
        if let Some(outage) = &mut self.outage {
            outage.next_try = now;
        }
        self.write(now);
        let path = self.location.path.display();
        match self.file.take().map(File::close) {
            Some(Ok(())) => Ok(()),
            Some(Err(kind)) => Err(io::Error::other(format!("can't close the store {path}: {kind}"))),
            None => Err(io::Error::other(format!("the store {path} does not contain the last writes"))),
        }
    }

    /// Writes the changes since the last call, and returns the number of bytes. Returns `None` during the pause after a
    /// failure.
    fn try_write(&mut self, now: Duration) -> Result<Option<u64>, StoreErrorKind> {
        if self.file.is_none() {
            if self.outage.as_ref().is_some_and(|outage| now < outage.next_try) {
                return Ok(None);
            }
            let file = self.location.open()?;
            file.enable_writes()?;
            self.last_batch = self.last_batch.max(file.last_batch()?);
            self.file = Some(file);
        }
        // The view counts are read before the journal. So every write that the LSN of a view count includes is in this
        // batch or an earlier batch.
        let views = self.engine.aggregator.drain_view_totals();
        match self.journal.drain() {
            Drained::Batch(batch) => self.append(now, &batch, &views).map(Some),
            Drained::Suspended => self.rewrite().map(Some),
        }
    }

    /// Appends a batch. The same transaction writes the due snapshots, and deletes the batches that all snapshots
    /// cover.
    fn append(&mut self, now: Duration, batch: &Batch, views: &[ViewTotal]) -> Result<u64, StoreErrorKind> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let aggregator = &self.engine.aggregator;
        let has_writes = !batch.is_empty() || !views.is_empty();
        self.last_batch += u64::from(has_writes);
        let due = self.snapshots.take_due(now, self.last_batch);
        let is_coverage_due = now >= self.coverage_due && self.engine.feeds.is_delivering();
        if !has_writes && due.is_empty() && !is_coverage_due {
            return Ok(0);
        }
        self.coverage_due = now + COVERAGE_INTERVAL;
        let bytes = codec::encode(batch, views, aggregator.config().rules());
        file.commit(Commit {
            batch: has_writes.then_some((self.last_batch, bytes.as_slice())),
            snapshots: due.into_iter().filter_map(|stripe| aggregator.stripe_snapshot(stripe)),
            covered: self.last_batch,
            delete_through: self.snapshots.covered_by_all(),
            now: batch.now(),
            feed: self.journal.last_feed().as_deref(),
            coverage: coverage(&self.engine),
        })
    }

    /// Writes a snapshot of every stripe and deletes all batches, because writes are missing in the journal.
    fn rewrite(&mut self) -> Result<u64, StoreErrorKind> {
        let Some(file) = &mut self.file else { return Ok(0) };
        self.journal.resume();
        let aggregator = &self.engine.aggregator;
        let bytes = file.commit(Commit {
            batch: None,
            snapshots: aggregator.snapshot(),
            covered: self.last_batch,
            delete_through: u64::MAX,
            now: Some(self.engine.clock.now()),
            feed: self.journal.last_feed().as_deref(),
            coverage: coverage(&self.engine),
        })?;
        self.snapshots.covered.fill(self.last_batch);
        Ok(bytes)
    }

    /// Records the outcome of a write in the journal and the log.
    ///
    /// A failure starts an outage: the journal stops logging writes, and the next successful write rewrites the whole
    /// store.
    fn note(&mut self, now: Duration, result: Result<Option<u64>, StoreErrorKind>) {
        let path = self.location.path.display();
        match result {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                self.journal.record_persisted(now, bytes);
                if let Some(outage) = self.outage.take() {
                    let outage = now.saturating_sub(outage.since);
                    tracing::info!(?outage, "the store {path} is written again and complete");
                }
            }
            Err(kind) => {
                self.file = None;
                self.journal.suspend();
                self.journal.record_failure();
                let log = ThrottledLog::with_interval(LOG_INTERVAL);
                let outage = self.outage.get_or_insert(Outage { since: now, next_try: now, log });
                outage.next_try = now + RETRY;
                if outage.log.permit(now).is_some() {
                    tracing::error!(
                        "the store {path} can't be written: {kind}; the server continues, but a restart would lose \
                         the writes since this failure"
                    );
                }
            }
        }
    }
}
