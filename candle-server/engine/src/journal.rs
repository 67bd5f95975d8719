//! The in-memory log of writes, for a store or a cluster to persist.
//!
//! Each write is applied and logged under one lock, and gets a log sequence number (LSN). A run of ticks gets one LSN
//! per tick. A consumer removes the logged writes in batches.
//!
//! The log is bounded. If the consumer falls too far behind, logging is suspended, but writes are still applied. The
//! consumer then resumes logging and persists a full snapshot.

mod batch;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use candle_core::{Aggregator, Handle, ListError, Outcome, Outcomes, RecordContext, Tick, Unlisted};
use parking_lot::{Mutex, MutexGuard};

pub use batch::{Batch, TickContext, TickRun, Write};

/// The maximum memory of the writes that wait for the consumer, in bytes: 64 MiB.
///
/// The limit is about a million quotes, or ten seconds at 100,000 quotes per second.
pub const MAX_PENDING_BYTES: usize = 64 << 20;

/// The time without a commit above which the consumer is behind: 1 s. A store commits every 100 ms by default.
pub const BEHIND_AFTER: Duration = Duration::from_secs(1);

/// The durability of the writes: how much a crash would lose at present.
///
/// ```
/// assert_eq!(candle_engine::journal::Durability::Behind.name(), "behind");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A crash loses at most the writes of the last second, see [`BEHIND_AFTER`].
    Persisted,
    /// The consumer is slow: a crash would lose more than one second of writes.
    Behind,
    /// The last attempt to persist failed: a crash loses all writes since the last successful attempt.
    Failed,
}

impl Durability {
    /// All values, in declaration order.
    pub const ALL: [Self; 3] = [Self::Persisted, Self::Behind, Self::Failed];

    /// Returns the name that metrics and `/readyz` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Persisted => "ok",
            Self::Behind => "behind",
            Self::Failed => "failed",
        }
    }
}

/// A log of writes with any number of writers and one consumer.
///
/// ```
/// use candle_core::Aggregator;
/// use candle_engine::journal::{Drained, Journal};
///
/// let (aggregator, journal) = (Aggregator::default(), Journal::new(1, None));
/// journal.list(&aggregator, "BTC", None)?;
/// let Drained::Batch(batch) = journal.drain() else { unreachable!("the log is short") };
/// assert_eq!((batch.first_lsn(), batch.writes().count()), (1, 1));
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Debug)]
pub struct Journal {
    pending: Mutex<Pending>,
    has_failed: AtomicBool,
    /// The time before which all writes are persisted, in microseconds since the server's start.
    persisted_until: AtomicU64,
    persisted_bytes: AtomicU64,
}

#[derive(Debug)]
struct Pending {
    next_lsn: u64,
    /// The writes that wait for the consumer; `None` while logging is suspended.
    batch: Option<Batch>,
    feed: Option<String>,
}

/// The result of [`Journal::drain`].
#[derive(Debug)]
pub enum Drained {
    /// All writes since the previous call.
    Batch(Batch),
    /// Logging is suspended, so the log lacks writes.
    Suspended,
}

impl Journal {
    /// Creates an empty log.
    ///
    /// `next_lsn` is the log sequence number of the first write; 0 counts as 1. `feed` is the name of the feed to which
    /// an earlier process was connected last.
    pub fn new(next_lsn: u64, feed: Option<String>) -> Self {
        let next_lsn = next_lsn.max(1);
        Self {
            pending: Mutex::new(Pending { next_lsn, batch: Some(Batch::new(next_lsn)), feed }),
            has_failed: AtomicBool::new(false),
            persisted_until: AtomicU64::new(0),
            persisted_bytes: AtomicU64::new(0),
        }
    }

    /// Returns the log sequence number of the next write.
    pub fn next_lsn(&self) -> u64 {
        self.lock().next_lsn
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock()
    }

    /// Lists an instrument with [`Aggregator::list`], and logs the write.
    ///
    /// # Errors
    /// See [`Aggregator::list`]. A failed call is not logged.
    pub fn list(&self, aggregator: &Aggregator, id: &str, description: Option<&str>) -> Result<Handle, ListError> {
        let mut pending = self.lock();
        let handle = aggregator.at_lsn(pending.next_lsn).list(id, description)?;
        pending.log(1, |batch| batch.push(Write::List { id, description }));
        Ok(handle)
    }

    /// Removes an instrument with [`Aggregator::delist`], and logs the write. Returns true if the instrument was
    /// listed.
    pub fn delist(&self, aggregator: &Aggregator, id: &str) -> bool {
        let mut pending = self.lock();
        let was_listed = aggregator.at_lsn(pending.next_lsn).delist(id);
        // An unknown id is logged too: its stripe has recorded the LSN, so no other write may use this LSN.
        pending.log(1, |batch| batch.push(Write::Delist { id }));
        was_listed
    }

    /// Clears all candles with [`Aggregator::clear_candles`], and logs the write.
    pub fn clear_candles(&self, aggregator: &Aggregator) {
        let mut pending = self.lock();
        aggregator.at_lsn(pending.next_lsn).clear_candles();
        pending.log(1, |batch| batch.push(Write::Clear));
    }

    /// Records ticks with [`Aggregator::record_batch`], and logs the write.
    pub fn record_batch(&self, aggregator: &Aggregator, ticks: &[(&str, Tick)], context: RecordContext) -> Outcomes {
        let tick_context = TickContext { now: context.now, unlisted: context.unlisted };
        let mut pending = self.lock();
        let outcomes = aggregator.record_batch(ticks, RecordContext { lsn: pending.next_lsn, ..context });
        if outcomes.of(Outcome::Full) == 0 {
            pending.log(ticks.len(), |batch| batch.push_ticks(ticks.iter().copied(), tick_context));
        } else {
            // The limit on instruments may be higher in a replay. The replay must not list an instrument that the limit
            // rejected here.
            for tick in ticks {
                let is_listed = aggregator.resolve(tick.0).is_some();
                let unlisted = if is_listed { context.unlisted } else { Unlisted::Reject };
                let tick_context = TickContext { unlisted, ..tick_context };
                pending.log(1, |batch| batch.push_ticks([*tick], tick_context));
            }
        }
        outcomes
    }

    /// Records the name of the connected feed. The next process treats a connect to the same feed as a reconnect.
    pub fn record_feed(&self, feed: &str) {
        self.lock().feed = Some(feed.to_owned());
    }

    /// Returns the name of the feed that was connected last, by this process or the previous process.
    pub fn last_feed(&self) -> Option<String> {
        self.lock().feed.clone()
    }

    /// Removes and returns the pending writes.
    ///
    /// Every write that the aggregator contained before this call is in the returned batch or in an earlier batch.
    pub fn drain(&self) -> Drained {
        let mut pending = self.lock();
        let next_lsn = pending.next_lsn;
        match &mut pending.batch {
            Some(batch) => Drained::Batch(std::mem::replace(batch, Batch::new(next_lsn))),
            None => Drained::Suspended,
        }
    }

    /// Suspends logging. Pending writes are dropped, and later writes are not logged.
    pub fn suspend(&self) {
        self.lock().batch = None;
    }

    /// Resumes logging. Earlier writes are only in the aggregator, so the consumer must persist a snapshot of the
    /// aggregator.
    pub fn resume(&self) {
        let mut pending = self.lock();
        pending.batch = Some(Batch::new(pending.next_lsn));
    }

    /// Records that all writes before `elapsed` are persisted, and adds `bytes` to the number of persisted bytes.
    pub fn record_persisted(&self, elapsed: Duration, bytes: u64) {
        self.persisted_until.store(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.persisted_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.has_failed.store(false, Ordering::Relaxed);
    }

    /// Records that an attempt to persist failed.
    pub fn record_failure(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// Returns the length of the period that a crash at `elapsed` would lose.
    pub fn unpersisted_for(&self, elapsed: Duration) -> Duration {
        elapsed.saturating_sub(Duration::from_micros(self.persisted_until.load(Ordering::Relaxed)))
    }

    /// Returns the number of bytes that were persisted.
    pub fn persisted_bytes(&self) -> u64 {
        self.persisted_bytes.load(Ordering::Relaxed)
    }

    /// Returns the durability at `elapsed` since the server's start.
    pub fn durability(&self, elapsed: Duration) -> Durability {
        if self.has_failed.load(Ordering::Relaxed) {
            Durability::Failed
        } else if self.unpersisted_for(elapsed) > BEHIND_AFTER {
            Durability::Behind
        } else {
            Durability::Persisted
        }
    }
}

impl Pending {
    /// Assigns `lsns` log sequence numbers to a write, and logs the write unless logging is suspended.
    ///
    /// A log that becomes longer than [`MAX_PENDING_BYTES`] is dropped, which suspends logging.
    fn log(&mut self, lsns: usize, write: impl FnOnce(&mut Batch)) {
        self.next_lsn += lsns as u64;
        if let Some(batch) = &mut self.batch {
            write(batch);
            if batch.bytes() > MAX_PENDING_BYTES {
                self.batch = None;
            }
        }
    }
}
