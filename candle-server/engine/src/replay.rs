//! Replays a record: applies its writes to an aggregator that was restored from snapshots.

use std::collections::HashMap;

use candle_core::{Aggregator, Arrival, Outcomes, RecordContext, Tick, Timestamp, Unlisted};

use crate::codec::{DecodeError, Delta, Record, StoredTick, StoredViews, StoredWrite};

/// The result of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// The log sequence number after the last write.
    pub next_lsn: u64,
    /// The outcomes of the applied ticks. Ticks that a snapshot already contains are not applied and not counted.
    pub outcomes: Outcomes,
}

impl Record<'_> {
    /// Applies the writes that the snapshots of `aggregator` do not contain.
    ///
    /// `lsns` contains the log sequence number of each stripe's snapshot, by stripe number. The first write of the
    /// record has the log sequence number `first_lsn`. The ticks are recorded with the arrival time `arrival`. After
    /// each write, `progress` is called with the number of log sequence numbers replayed so far.
    ///
    /// The aggregator must have the rules of the record, and no limit on instruments. The record contains only
    /// instruments that the limit allowed when the record was written.
    ///
    /// # Errors
    /// Returns [`DecodeError::Damaged`] if an id or a time is invalid. The writes before the invalid write are applied.
    pub fn replay(
        &self,
        aggregator: &Aggregator,
        lsns: &[u64],
        first_lsn: u64,
        arrival: Arrival,
        mut progress: impl FnMut(u64),
    ) -> Result<Replayed, DecodeError> {
        let replay = Replay::new(aggregator, lsns, self, first_lsn, arrival);
        replay.run(self, |lsn| progress(lsn - first_lsn)).ok_or(DecodeError::Damaged)
    }
}

/// The state of one replay.
struct Replay<'a> {
    aggregator: &'a Aggregator,
    arrival: Arrival,
    /// The highest log sequence number in the snapshot of each id's stripe, by id number.
    snapshot_lsns: Vec<u64>,
    lsn: u64,
    outcomes: Outcomes,
    delta: Delta,
}

impl<'a> Replay<'a> {
    fn new(aggregator: &'a Aggregator, lsns: &[u64], record: &Record<'_>, lsn: u64, arrival: Arrival) -> Self {
        let snapshot_lsns = record.ids.iter().map(|id| lsns[aggregator.stripe_of(id) as usize]).collect();
        Self { aggregator, arrival, snapshot_lsns, lsn, outcomes: Outcomes::default(), delta: Delta::default() }
    }

    /// Applies all writes. Returns `None` if a number has no id, or a time is invalid.
    fn run(mut self, record: &Record<'_>, mut reached: impl FnMut(u64)) -> Option<Replayed> {
        let mut views: HashMap<u32, &StoredViews> = record.views.iter().map(|views| (views.id, views)).collect();
        for write in &record.writes {
            match write {
                StoredWrite::List { id, description } => {
                    let name = record.ids.get(*id as usize)?;
                    if self.is_new(*id)? {
                        self.aggregator.at_lsn(self.lsn).list(name, *description).ok()?;
                    }
                }
                StoredWrite::Delist { id } => {
                    let name = record.ids.get(*id as usize)?;
                    if self.is_new(*id)? {
                        self.aggregator.at_lsn(self.lsn).delist(name);
                    }
                    // Views that were counted before the delisting belong to the delisted instrument.
                    if views.get(id).is_some_and(|views| views.lsn < self.lsn) {
                        views.remove(id);
                    }
                }
                StoredWrite::Clear => self.aggregator.at_lsn(self.lsn).clear_candles(),
                StoredWrite::Ticks { now, lists, ticks } => {
                    self.ticks(record, Timestamp::from_micros(*now)?, *lists, ticks)?;
                    reached(self.lsn);
                    continue;
                }
            }
            self.lsn = self.lsn.checked_add(1)?;
            reached(self.lsn);
        }
        for (id, views) in views {
            let name = record.ids.get(id as usize)?;
            if views.lsn >= *self.snapshot_lsns.get(id as usize)? {
                self.aggregator.raise_views(name, views.views);
            }
        }
        Some(Replayed { next_lsn: self.lsn, outcomes: self.outcomes })
    }

    /// Returns true if the snapshot of the id's stripe does not contain the current write. Returns `None` if the number
    /// has no id.
    fn is_new(&self, id: u32) -> Option<bool> {
        Some(self.lsn > *self.snapshot_lsns.get(id as usize)?)
    }

    fn ticks(&mut self, record: &Record<'_>, now: Timestamp, lists: bool, ticks: &[StoredTick]) -> Option<()> {
        let mut run: Vec<(&str, Tick)> = Vec::with_capacity(ticks.len());
        for stored in ticks {
            let tick = self.delta.decode(stored);
            if self.is_new(stored.id)? {
                run.push((record.ids.get(stored.id as usize)?, tick?));
            }
            self.lsn = self.lsn.checked_add(1)?;
        }
        // The remaining ticks get the last numbers of the run. If ticks were skipped, these numbers are higher than the
        // original numbers. This is safe, because a stripe's snapshot contains either all of its ticks of a run or
        // none.
        let lsn = self.lsn - run.len() as u64;
        let unlisted = if lists { Unlisted::List } else { Unlisted::Reject };
        let context = RecordContext { lsn, unlisted, arrival: self.arrival, ..RecordContext::from(now) };
        self.outcomes.merge(&self.aggregator.record_batch(&run, context));
        Some(())
    }
}
