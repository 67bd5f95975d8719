//! The in-memory log of writes, for a store or a cluster to persist.
//!
//! Each write is applied and logged under one lock. A consumer drains the log in batches. The log is bounded: if the
//! consumer falls behind, logging is suspended, writes go on, and the consumer persists a full snapshot before it resumes.

mod batch;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use candle_core::{Aggregator, Handle, ListError, Outcome, Outcomes, RecordContext, Tick, Unlisted};
use parking_lot::{Mutex, MutexGuard};

pub use batch::{Batch, TickContext, TickRun, Write};

/// The most bytes that wait for the consumer: 64 MiB, a million quotes, ten seconds of the full load.
pub const MAX_PENDING_BYTES: usize = 64 << 20;

/// The delay from which the consumer counts as behind: 1 s, ten commits of the default interval.
pub const BEHIND_AFTER: Duration = Duration::from_secs(1);

/// The durability of the writes so far.
///
/// ```
/// assert_eq!(candle_engine::journal::Durability::Behind.name(), "behind");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A crash loses no more than documented.
    Persisted,
    /// The disk is slow: a crash loses more than documented.
    Behind,
    /// Nothing is persisted at present: a crash loses all writes since then.
    Failed,
}

impl Durability {
    /// All values, in declaration order.
    pub const ALL: [Self; 3] = [Self::Persisted, Self::Behind, Self::Failed];

    /// Returns the name in metrics.
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
    /// All writes before this time are persisted, in microseconds since the server's start.
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
    /// Logging is suspended: writes are missing.
    Suspended,
}

impl Journal {
    /// Creates an empty log. `next_lsn` is the log sequence number of its first write, at least 1; `feed` is the feed to
    /// which an earlier process was connected last.
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

    /// Applies and logs [`Aggregator::list`].
    ///
    /// # Errors
    /// See [`Aggregator::list`]; a failed call is not logged.
    pub fn list(&self, aggregator: &Aggregator, id: &str, description: Option<&str>) -> Result<Handle, ListError> {
        let mut pending = self.lock();
        let handle = aggregator.at_lsn(pending.next_lsn).list(id, description)?;
        pending.log(1, |batch| batch.push(Write::List { id, description }));
        Ok(handle)
    }

    /// Applies and logs [`Aggregator::delist`].
    pub fn delist(&self, aggregator: &Aggregator, id: &str) -> bool {
        let mut pending = self.lock();
        let was_listed = aggregator.at_lsn(pending.next_lsn).delist(id);
        // An unknown id is logged too: its stripe has seen the LSN, which must not be used again.
        pending.log(1, |batch| batch.push(Write::Delist { id }));
        was_listed
    }

    /// Applies and logs [`Aggregator::clear_candles`].
    pub fn clear_candles(&self, aggregator: &Aggregator) {
        let mut pending = self.lock();
        aggregator.at_lsn(pending.next_lsn).clear_candles();
        pending.log(1, |batch| batch.push(Write::Clear));
    }

    /// Applies and logs [`Aggregator::record_batch`].
    pub fn record_batch(&self, aggregator: &Aggregator, ticks: &[(&str, Tick)], context: RecordContext) -> Outcomes {
        let tick_context = TickContext { now: context.now, unlisted: context.unlisted };
        let mut pending = self.lock();
        let outcomes = aggregator.record_batch(ticks, RecordContext { lsn: pending.next_lsn, ..context });
        if outcomes.of(Outcome::Full) == 0 {
            pending.log(ticks.len(), |batch| batch.push_ticks(ticks.iter().copied(), tick_context));
        } else {
            // A replay may have room for more instruments. What was refused for want of room must not be listed then.
            for tick in ticks {
                let is_listed = aggregator.resolve(tick.0).is_some();
                let unlisted = if is_listed { context.unlisted } else { Unlisted::Reject };
                let tick_context = TickContext { unlisted, ..tick_context };
                pending.log(1, |batch| batch.push_ticks([*tick], tick_context));
            }
        }
        outcomes
    }

    /// Records the name of the connected feed: for the next process, a connect to that feed is a reconnect.
    pub fn record_feed(&self, feed: &str) {
        self.lock().feed = Some(feed.to_owned());
    }

    /// Returns the name of the feed that was connected last, by this process or the one before.
    pub fn last_feed(&self) -> Option<String> {
        self.lock().feed.clone()
    }

    /// Takes the pending writes. Every write that a stripe of the aggregator had seen before this call is in the returned
    /// batch, or in an earlier one.
    pub fn drain(&self) -> Drained {
        let mut pending = self.lock();
        let next_lsn = pending.next_lsn;
        match &mut pending.batch {
            Some(batch) => Drained::Batch(std::mem::replace(batch, Batch::new(next_lsn))),
            None => Drained::Suspended,
        }
    }

    /// Suspends logging: pending writes are dropped, later ones are not logged.
    pub fn suspend(&self) {
        self.lock().batch = None;
    }

    /// Resumes logging. Earlier writes exist in the aggregator only: the consumer takes a snapshot of it.
    pub fn resume(&self) {
        let mut pending = self.lock();
        pending.batch = Some(Batch::new(pending.next_lsn));
    }

    /// Records that all writes before `elapsed` are persisted, in `bytes` more than before.
    pub fn record_persisted(&self, elapsed: Duration, bytes: u64) {
        self.persisted_until.store(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.persisted_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.has_failed.store(false, Ordering::Relaxed);
    }

    /// Records that nothing can be persisted at present.
    pub fn record_failure(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// Returns the period whose writes a crash at `elapsed` would lose.
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
    /// Logs a write that takes `lsns` log sequence numbers, unless logging is suspended or the log becomes too long.
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
