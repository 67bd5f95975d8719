//! A batch of ticks whose instruments are named by id or by handle.

use candle_core::{Arrival, Handle, Outcomes, RecordContext, Tick, Timestamp, Unlisted};
use candle_engine::Engine;

/// Ticks in order, for one call of the engine.
#[derive(Clone, Copy)]
pub(crate) enum Batch<'b> {
    /// Ticks by id, with the treatment of unlisted instruments.
    ById(&'b [(&'b str, Tick)], Unlisted),
    /// Ticks by handle, and the ids of the same instruments in the same order.
    ByHandle(&'b [&'b str], &'b [(Handle, Tick)]),
}

impl Batch<'_> {
    /// Returns the number of ticks.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::ById(ticks, _) => ticks.len(),
            Self::ByHandle(_, ticks) => ticks.len(),
        }
    }

    /// Returns the time of the tick at `index`.
    pub(crate) const fn time(&self, index: usize) -> Timestamp {
        match self {
            Self::ById(ticks, _) => ticks[index].1.time,
            Self::ByHandle(_, ticks) => ticks[index].1.time,
        }
    }

    /// Splits the batch before the tick at `index`.
    pub(crate) fn split_at(self, index: usize) -> (Self, Self) {
        match self {
            Self::ById(ticks, unlisted) => {
                let (head, rest) = ticks.split_at(index);
                (Self::ById(head, unlisted), Self::ById(rest, unlisted))
            }
            Self::ByHandle(ids, ticks) => {
                let (head_ids, rest_ids) = ids.split_at(index);
                let (head, rest) = ticks.split_at(index);
                (Self::ByHandle(head_ids, head), Self::ByHandle(rest_ids, rest))
            }
        }
    }

    /// Records the ticks at `now`.
    pub(crate) fn record(self, engine: &Engine, now: Timestamp, arrival: Arrival) -> Outcomes {
        let context = RecordContext { arrival, ..RecordContext::from(now) };
        match self {
            Self::ById(ticks, unlisted) => engine.record_batch(ticks, RecordContext { unlisted, ..context }),
            Self::ByHandle(ids, ticks) => engine.record_batch_at(ids, ticks, context),
        }
    }
}
