//! A stripe of an aggregator as plain data, for storage and for other processes.

#[cfg(feature = "serde")]
mod wire;

use std::fmt;
use std::sync::Arc;

use crate::candle::Candle;
use crate::instrument_id::InstrumentId;
use crate::interval::Interval;
use crate::outcome::Outcomes;
use crate::window::Window;

/// A copy of one stripe of an aggregator at one moment. Contains the instruments with candles (forming ones included),
/// descriptions and views, the outcomes, and the highest lsn of any write.
///
/// With the feature `serde`, a snapshot has a compact stored form (`encode`, `decode`) and serialises in any serde format.
/// Both forms contain the version of the format.
///
/// ```
/// use candle_core::{Aggregator, Tick, Timestamp};
///
/// let now = Timestamp::EPOCH;
/// let aggregator = Aggregator::default();
/// aggregator.list("BTC", None)?;
/// let _ = aggregator.record("BTC", &Tick::new(now, 9.5), now);
/// let parts: Vec<_> = aggregator.snapshot().collect();
/// assert_eq!(parts.iter().map(|part| part.instruments()).sum::<usize>(), 1);
/// let again = Aggregator::restore(*aggregator.config(), parts).unwrap();
/// assert_eq!(again.history("BTC"), aggregator.history("BTC").map(|mut history| {
///     history.last_arrival = None; // arrivals are valid within one process only
///     history
/// }));
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "wire::StoredStripe", into = "wire::StoredStripe")
)]
pub struct StripeSnapshot {
    /// The seed that spreads ids over stripes.
    pub(crate) seed: u64,
    /// The number of stripes of the aggregator.
    pub(crate) stripes: u32,
    /// The number of this stripe, counted from 0.
    pub(crate) stripe: u32,
    pub(crate) window: Window,
    pub(crate) lsn: u64,
    pub(crate) outcomes: Outcomes,
    /// In the order of ids, each once.
    pub(crate) instruments: Vec<InstrumentSnapshot>,
}

/// One instrument of a [`StripeSnapshot`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InstrumentSnapshot {
    pub(crate) id: InstrumentId,
    pub(crate) description: Option<Arc<str>>,
    pub(crate) views: u64,
    /// The stored candles, oldest first; see [`Ring::stored`](crate::Ring::stored).
    pub(crate) candles: Vec<Candle>,
}

impl StripeSnapshot {
    /// Returns the number of instruments.
    pub fn instruments(&self) -> usize {
        self.instruments.len()
    }

    /// Returns the number of the stripe, counted from 0.
    pub const fn stripe(&self) -> u32 {
        self.stripe
    }

    /// Returns the interval and the length of the window.
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Returns the highest [`lsn`](crate::RecordContext::lsn) of any write in the snapshot. Writes with a higher lsn must be
    /// replayed; see [`replication`](crate::replication).
    pub const fn lsn(&self) -> u64 {
        self.lsn
    }

    /// Returns the number of ticks by outcome.
    pub const fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }
}

/// The reason for which a snapshot was not decoded, restored or merged.
///
/// ```
/// use candle_core::{Aggregator, Config, SnapshotError};
///
/// let mut parts: Vec<_> = Aggregator::default().snapshot().collect();
/// parts.pop();
/// assert_eq!(Aggregator::restore(Config::default(), parts).unwrap_err(), SnapshotError::Missing { stripe: 63 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The format has a version that this library cannot read.
    UnknownVersion {
        /// The version in the snapshot.
        version: u32,
    },
    /// The content was changed after it was written, or was never valid.
    Damaged {
        /// A description of the damage.
        what: &'static str,
    },
    /// The snapshots are of different aggregators.
    Mixed,
    /// Two snapshots are of the same stripe.
    Repeated {
        /// The number of the stripe.
        stripe: u32,
    },
    /// The snapshot of a stripe is missing.
    Missing {
        /// The number of the stripe.
        stripe: u32,
    },
    /// The candles of the snapshot are of another interval than those of the aggregator.
    OtherInterval {
        /// The interval of the aggregator.
        expected: Interval,
        /// The interval of the snapshot.
        found: Interval,
    },
    /// More instruments would be listed than allowed.
    Full {
        /// The maximum.
        max_instruments: usize,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVersion { version } => {
                write!(
                    f,
                    "the snapshot has format version {version}, which this version cannot read; use a newer version"
                )
            }
            Self::Damaged { what } => write!(f, "the snapshot is damaged: {what}"),
            Self::Mixed => f.write_str("the snapshots of the stripes are of different aggregators"),
            Self::Repeated { stripe } => write!(f, "the snapshot of stripe {stripe} is repeated"),
            Self::Missing { stripe } => write!(f, "the snapshot of stripe {stripe} is missing"),
            Self::OtherInterval { expected, found } => {
                write!(f, "the snapshot has candles of {found}, and {expected} is configured; use the same interval")
            }
            Self::Full { max_instruments } => {
                write!(f, "the snapshot exceeds the maximum of {max_instruments} instruments; raise the limit")
            }
        }
    }
}

impl std::error::Error for SnapshotError {}
