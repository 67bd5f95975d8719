//! The one way to write into a engine that is to survive: each write is applied and logged under one lock.
//!
//! The log is handed over in memory: whoever keeps it takes a [`Batch`] from time to time. The hand-over is bounded. Where
//! the keeper is too slow the log breaks off, writing goes on, and the keeper mends the log by keeping everything anew.

mod batch;
#[cfg(feature = "nats")]
mod writes;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use candle_core::{Aggregator, Handle, ListError, Outcome, Outcomes, RecordContext, Tick, Unlisted};
use parking_lot::{Mutex, MutexGuard};

pub use batch::{Batch, Entry, Span};
#[cfg(feature = "nats")]
pub(crate) use writes::{JudgedBy, Write};

/// The most that waits for the keeper, in bytes: a million quotes, ten seconds of the full load.
pub const MAX_PENDING_BYTES: usize = 64 << 20;

/// A keeper that is this much later than it should be is behind: ten commits of the default interval.
pub const BEHIND_AFTER: Duration = Duration::from_secs(1);

/// How well the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What a kill would lose is within the promise.
    Kept,
    /// The disk is slow: a kill would lose more than the promise says.
    Behind,
    /// Nothing is kept at present: a kill would lose everything since this began.
    Failed,
}

impl Durability {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kept, Self::Behind, Self::Failed];

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "ok",
            Self::Behind => "behind",
            Self::Failed => "failed",
        }
    }
}

/// A log of writes, filled by those who write and emptied by one keeper.
#[derive(Debug)]
pub struct Journal {
    pending: Mutex<Pending>,
    standing: AtomicU8,
    /// Everything written before this is safe, in microseconds since the server's start.
    kept_until: AtomicU64,
    kept_bytes: AtomicU64,
}

#[derive(Debug)]
struct Pending {
    /// The position of the next write.
    lsn: u64,
    /// What waits for the keeper; `None` while the log is broken off.
    batch: Option<Batch>,
    feed: Option<String>,
}

/// What the keeper finds.
#[derive(Debug)]
pub enum Taken {
    /// All writes since the last time.
    Batch(Batch),
    /// The log broke off: some are missing.
    Broken,
}

impl Journal {
    /// An empty log whose first write has the position `lsn`, at least 1.
    pub fn new(lsn: u64, feed: Option<String>) -> Self {
        let lsn = lsn.max(1);
        Self {
            pending: Mutex::new(Pending { lsn, batch: Some(Batch::new(lsn)), feed }),
            standing: AtomicU8::new(0),
            kept_until: AtomicU64::new(0),
            kept_bytes: AtomicU64::new(0),
        }
    }

    /// The position of the next write.
    pub fn lsn(&self) -> u64 {
        self.lock().lsn
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock()
    }

    /// [`Aggregator::list`], logged.
    ///
    /// # Errors
    /// As that one's; then there is nothing to log.
    pub fn list(&self, aggregator: &Aggregator, id: &str, description: Option<&str>) -> Result<Handle, ListError> {
        let mut pending = self.lock();
        let handle = aggregator.at_lsn(pending.lsn).list(id, description)?;
        pending.log(1, |batch| batch.list(id, description));
        Ok(handle)
    }

    /// [`Aggregator::delist`], logged.
    pub fn delist(&self, aggregator: &Aggregator, id: &str) -> bool {
        let mut pending = self.lock();
        let was_listed = aggregator.at_lsn(pending.lsn).delist(id);
        // An unknown id too: its stripe has seen the lsn, which must not be given out again.
        pending.log(1, |batch| batch.delist(id));
        was_listed
    }

    /// [`Aggregator::clear_candles`], logged.
    pub fn clear_candles(&self, aggregator: &Aggregator) {
        let mut pending = self.lock();
        aggregator.at_lsn(pending.lsn).clear_candles();
        pending.log(1, Batch::clear);
    }

    /// [`Aggregator::record_batch`], logged with the context under which the ticks were judged.
    pub fn record_batch(&self, aggregator: &Aggregator, ticks: &[(&str, Tick)], context: RecordContext) -> Outcomes {
        let mut pending = self.lock();
        let outcomes = aggregator.record_batch(ticks, RecordContext { lsn: pending.lsn, ..context });
        if outcomes.of(Outcome::Full) == 0 {
            pending.log(ticks.len(), |batch| batch.ticks(ticks, context.now, context.unlisted));
        } else {
            // There may be room when the log is replayed; who found none must not be listed then.
            for tick in ticks {
                let is_listed = aggregator.resolve(tick.0).is_some();
                let unlisted = if is_listed { context.unlisted } else { Unlisted::Reject };
                pending.log(1, |batch| batch.ticks(std::slice::from_ref(tick), context.now, unlisted));
            }
        }
        outcomes
    }

    /// Notes that a feed of this name is connected: for the next process, a connect to it is one to the same feed again.
    pub fn note_feed(&self, feed: &str) {
        self.lock().feed = Some(feed.to_owned());
    }

    /// The feed that is connected, or was last.
    pub fn feed(&self) -> Option<String> {
        self.lock().feed.clone()
    }

    /// What waits for the keeper. Every write that any stripe of the aggregator had seen before this call is in it, or in
    /// one taken before.
    pub fn take(&self) -> Taken {
        let mut pending = self.lock();
        let lsn = pending.lsn;
        match &mut pending.batch {
            Some(batch) => Taken::Batch(std::mem::replace(batch, Batch::new(lsn))),
            None => Taken::Broken,
        }
    }

    /// Breaks the log off: what waits is thrown away, and nothing more is gathered.
    pub fn break_off(&self) {
        self.lock().batch = None;
    }

    /// Starts gathering again. What was written before this call is in the aggregator and nowhere else.
    pub fn resume(&self) {
        let mut pending = self.lock();
        pending.batch = Some(Batch::new(pending.lsn));
    }

    /// Notes that everything written before `elapsed` is safe, with `bytes` more than before.
    pub fn note_kept(&self, elapsed: Duration, bytes: u64) {
        self.kept_until.store(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.kept_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.standing.store(0, Ordering::Relaxed);
    }

    /// Notes that nothing can be kept at present.
    pub fn note_failed(&self) {
        self.standing.store(1, Ordering::Relaxed);
    }

    /// How much a kill at `elapsed` since the server's start would lose: the time since the last write that is safe.
    pub fn at_risk(&self, elapsed: Duration) -> Duration {
        elapsed.saturating_sub(Duration::from_micros(self.kept_until.load(Ordering::Relaxed)))
    }

    /// How many bytes were handed to the disk so far.
    pub fn kept_bytes(&self) -> u64 {
        self.kept_bytes.load(Ordering::Relaxed)
    }

    /// How well the log is kept, at `elapsed` since the server's start.
    pub fn standing(&self, elapsed: Duration) -> Durability {
        if self.standing.load(Ordering::Relaxed) != 0 {
            Durability::Failed
        } else if self.at_risk(elapsed) > BEHIND_AFTER {
            Durability::Behind
        } else {
            Durability::Kept
        }
    }
}

impl Pending {
    /// Logs a write of as many positions, unless the log is broken off, or breaks off now for want of room.
    fn log(&mut self, positions: usize, write: impl FnOnce(&mut Batch)) {
        self.lsn += positions as u64;
        if let Some(batch) = &mut self.batch {
            write(batch);
            if batch.bytes() > MAX_PENDING_BYTES {
                self.batch = None;
            }
        }
    }
}
