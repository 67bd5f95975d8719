//! What a write needs to know besides the tick itself.

use crate::arrival::Arrival;
use crate::time::Timestamp;

/// The context under which ticks are recorded. A plain [`Timestamp`] converts into the context of that `now`.
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
    /// The time on the candles' clock: decides which minute is forming, what is too far ahead and what is too old.
    pub now: Timestamp,
    /// When the tick reached the caller, on the caller's monotonic clock; kept for the instrument's age only.
    pub arrival: Arrival,
    /// The write's position in the caller's log, for callers that keep one: each stripe remembers the highest it saw, and
    /// a snapshot carries it, so that replaying what came after is exact, provided that the writes of one instrument
    /// arrive in the order of the log and those of one stripe too (one writer does, or one for each stripe). The ticks
    /// of a batch have positions that count up from this one. Positions start at 1; 0 where there is no log.
    pub lsn: u64,
    /// What to do with a tick whose instrument is not listed.
    pub unlisted: Unlisted,
}

impl RecordContext {
    /// The context of the tick `places` further on in a batch.
    #[inline]
    pub(crate) const fn further(self, places: usize) -> Self {
        let places = if self.lsn == 0 { 0 } else { places as u64 };
        Self { lsn: self.lsn.saturating_add(places), ..self }
    }
}

impl From<Timestamp> for RecordContext {
    fn from(now: Timestamp) -> Self {
        Self { now, arrival: Arrival::START, lsn: 0, unlisted: Unlisted::Reject }
    }
}

/// What to do with a tick whose instrument is not listed.
///
/// ```
/// assert_eq!(candle_core::Unlisted::default(), candle_core::Unlisted::Reject);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unlisted {
    /// Refuse it: the feed announces its instruments.
    #[default]
    Reject,
    /// List the instrument if the tick is otherwise acceptable: the feed has no catalogue.
    List,
}
