//! Recovery: reads the state from a store file.
//!
//! The file contains a snapshot of each stripe, and batches of writes. A snapshot covers a batch if it contains all
//! writes of the batch to this stripe. Recovery replays the other writes.

use std::io;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use candle_core::{Aggregator, Arrival, Config, CoverageRing, History, SnapshotError, StripeSnapshot, Timestamp};
use candle_engine::codec::Record;
use redb::{AccessGuard, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use crate::error::{StoreError, StoreErrorKind};
use crate::file::{BATCHES, COVERAGE, CoverageParts, File, Location, NUMBERS, STRIPES, TEXTS};

/// The number of batches that are decoded ahead of the replay: one. Decoding is faster than replaying, so more would
/// not help.
const DECODED_AHEAD: usize = 1;

/// The state that a store file contains.
#[derive(Debug)]
pub(crate) struct StoredState {
    pub(crate) aggregator: Aggregator,
    pub(crate) now: Option<Timestamp>,
    pub(crate) feed: Option<String>,
    pub(crate) coverage: CoverageRing,
    /// The log sequence number of the next write.
    pub(crate) next_lsn: u64,
    /// The number of the last batch that each stripe's snapshot covers, by stripe number.
    pub(crate) covered: Vec<u64>,
    pub(crate) last_batch: u64,
    /// The number of stored batches.
    pub(crate) batches: u64,
    /// The number of ticks in the stored batches.
    pub(crate) ticks: u64,
}

impl StoredState {
    /// Calls `visit` for every instrument, with the time on the candles' clock. Instruments are sorted by the bytes of
    /// their ids.
    pub(crate) fn each_instrument(
        &self,
        mut visit: impl FnMut(&str, &History, Timestamp) -> io::Result<()>,
    ) -> io::Result<()> {
        let now = self.now.unwrap_or(Timestamp::EPOCH);
        for summary in self.aggregator.instruments() {
            if let Some(history) = self.aggregator.history(summary.id.as_str()) {
                visit(summary.id.as_str(), &history, now)?;
            }
        }
        Ok(())
    }
}

/// Reads the state of a store without changing its file.
pub(crate) fn read(path: &Path) -> Result<StoredState, StoreError> {
    let read = || Location::of(path).open()?.recover(Config::default());
    read().map_err(|kind| StoreError::new(path, kind))
}

/// The result of replaying the stored batches.
struct Replay {
    next_lsn: u64,
    batches: u64,
    last_batch: u64,
    ticks: u64,
}

impl File {
    /// Restores the stripes from their snapshots and replays the batches that the snapshots do not cover.
    pub(crate) fn recover(&self, config: Config) -> Result<StoredState, StoreErrorKind> {
        let transaction = self.database.begin_read()?;
        let now = transaction.open_table(NUMBERS)?.get("now")?.and_then(|now| Timestamp::from_micros(now.value()));
        let feed = transaction.open_table(TEXTS)?.get("feed")?.map(|feed| feed.value().to_owned());
        let coverage = match transaction.open_table(COVERAGE)?.get(())? {
            Some(bytes) => decode_coverage(bytes.value())
                .ok_or_else(|| StoreErrorKind::Damaged("the coverage can't be read".to_owned()))?,
            None => CoverageRing::default(),
        };
        let stripes = transaction.open_table(STRIPES)?;
        let stored = stripes.iter()?.map(|stripe| Ok(stripe?.1)).collect::<Result<Vec<_>, StoreErrorKind>>()?;
        let covered: Vec<u64> = stored.iter().map(|stripe| stripe.value().0).collect();
        let snapshots = decode_snapshots(&stored)?;
        drop(stored);
        let mut lsns: Vec<_> = snapshots.iter().map(|snapshot| (snapshot.stripe(), snapshot.lsn())).collect();
        let unlimited = config.with_max_instruments(Config::MAX_INSTRUMENTS_LIMIT);
        let mut aggregator = Aggregator::restore(unlimited, snapshots)?;
        // Each stripe occurs exactly once, because restoring fails otherwise. So the index in the sorted list is the
        // stripe number.
        lsns.sort_unstable();
        let lsns: Vec<u64> = lsns.into_iter().map(|(_, lsn)| lsn).collect();
        let replay = replay(&transaction, &mut aggregator, unlimited, &lsns)?;
        aggregator.reconfigure(config);
        aggregator.forget_arrivals();
        let last_batch = replay.last_batch.max(covered.iter().copied().max().unwrap_or(0));
        let Replay { next_lsn, batches, ticks, .. } = replay;
        Ok(StoredState { aggregator, now, feed, coverage, next_lsn, covered, last_batch, batches, ticks })
    }
}

/// Replays the stored batches onto `aggregator`.
///
/// `lsns` contains the log sequence number of each stripe's snapshot. Writes up to this number are skipped. `config`
/// must have no limit on instruments, because a batch contains only instruments that the limit allowed when the batch
/// was written.
fn replay(
    transaction: &ReadTransaction,
    aggregator: &mut Aggregator,
    config: Config,
    lsns: &[u64],
) -> Result<Replay, StoreErrorKind> {
    let table = transaction.open_table(BATCHES)?;
    let stored = table.iter()?.collect::<Result<Vec<_>, _>>()?;
    let last_batch = stored.last().map_or(0, |(number, _)| number.value());
    let mut next_lsn = lsns.iter().max().map_or(1, |lsn| lsn.saturating_add(1));
    let mut ticks = 0;
    std::thread::scope(|scope| -> Result<(), StoreErrorKind> {
        let (sender, decoded) = sync_channel(DECODED_AHEAD);
        scope.spawn(|| {
            // A send fails only after the replay has failed. The remaining batches are not needed then.
            let _ = stored.iter().try_for_each(|(_, bytes)| sender.send(Record::decode(bytes.value())));
            drop(sender);
        });
        for record in decoded {
            let record = record?;
            aggregator.reconfigure(config.with_rules(record.rules()));
            let replayed = record.replay(aggregator, lsns, record.first_lsn(), Arrival::START, |_| {})?;
            next_lsn = next_lsn.max(replayed.next_lsn);
            ticks += record.ticks() as u64;
        }
        Ok(())
    })?;
    Ok(Replay { next_lsn, batches: table.len()?, last_batch, ticks })
}

/// Decodes the stripe snapshots on all cores, because most of a file consists of snapshots.
fn decode_snapshots(stored: &[AccessGuard<'_, (u64, &'static [u8])>]) -> Result<Vec<StripeSnapshot>, StoreErrorKind> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = stored.len().div_ceil(cores).max(1);
    let decode = |stripe: &AccessGuard<'_, (u64, &'static [u8])>| StripeSnapshot::decode(stripe.value().1);
    std::thread::scope(|scope| {
        let shares: Vec<_> =
            stored.chunks(share).map(|share| scope.spawn(move || share.iter().map(decode).collect())).collect();
        let mut snapshots = Vec::with_capacity(stored.len());
        for share in shares {
            let share: Result<Vec<_>, SnapshotError> = share.join().unwrap_or_else(|panic| resume_unwind(panic));
            snapshots.append(&mut share?);
        }
        Ok(snapshots)
    })
}

fn decode_coverage(bytes: &[u8]) -> Option<CoverageRing> {
    let (last, up_micros): CoverageParts = postcard::from_bytes(bytes).ok()?;
    CoverageRing::from_parts(last, up_micros)
}
