//! The context of a record call: everything a tick does not carry itself.

use crate::arrival::Arrival;
use crate::time::Timestamp;

/// The context in which ticks are recorded. A [`Timestamp`] converts into the context with that `now` and defaults.
///
/// ```
/// use candle_core::{Aggregator, Outcome, RecordContext, Tick, Timestamp, Unlisted};
///
/// let now = Timestamp::EPOCH;
/// let aggregator = Aggregator::default();
/// assert_eq!(aggregator.record("BTC", &Tick::new(now, 9.5), now), Outcome::UnknownInstrument);
/// let context = RecordContext { unlisted: Unlisted::List, ..RecordContext::from(now) };
/// assert_eq!(aggregator.record("BTC", &Tick::new(now, 9.5), context), Outcome::Opened);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordContext {
    /// The present on the clock of the candles. Decides which candle is forming, and which ticks are too early or too old.
    pub now: Timestamp,
    /// The time at which the tick reached the caller, on the caller's monotonic clock. Used only for the age of the
    /// instrument. [`Arrival::START`] by default.
    pub arrival: Arrival,
    /// The log sequence number of the tick, for callers with a log: see [`replication`](crate::replication). The ticks of
    /// a batch have consecutive numbers from this one on. 0, the default, means that there is no log.
    pub lsn: u64,
    /// The treatment of a tick whose instrument is not listed.
    pub unlisted: Unlisted,
}

impl RecordContext {
    /// Returns the context of the tick at `position` in a batch, counted from 0.
    #[inline]
    pub(crate) const fn at_position(self, position: usize) -> Self {
        let offset = if self.lsn == 0 { 0 } else { position as u64 };
        Self { lsn: self.lsn.saturating_add(offset), ..self }
    }
}

impl From<Timestamp> for RecordContext {
    fn from(now: Timestamp) -> Self {
        Self { now, arrival: Arrival::START, lsn: 0, unlisted: Unlisted::Reject }
    }
}

/// The treatment of a tick whose instrument is not listed.
///
/// ```
/// assert_eq!(candle_core::Unlisted::default(), candle_core::Unlisted::Reject);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unlisted {
    /// Refuse the tick: for feeds that announce their instruments.
    #[default]
    Reject,
    /// List the instrument if the tick is otherwise acceptable: for feeds without a catalogue.
    List,
}
