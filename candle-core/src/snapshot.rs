//! Parts of an aggregator as plain data: what a store keeps and another process takes over.

#[cfg(feature = "serde")]
mod wire;

use std::fmt;
use std::sync::Arc;

use crate::instrument::InstrumentId;
use crate::outcome::Outcomes;
use crate::ring::Ring;

/// One stripe of an aggregator at one instant: its instruments with candles, forming ones included, descriptions and
/// views, its counts of outcomes, and the highest lsn of any write it had seen.
///
/// With the feature `serde` it has a compact stored form (`encode`, `decode`), and serialises in any format that serde
/// knows; the version of the form is in both.
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
///     history.last_arrival = None; // a reading of this process's clock means nothing to the next one
///     history
/// }));
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "wire::Part", into = "wire::Part")
)]
pub struct StripeSnapshot {
    /// The seed that spread ids over stripes.
    pub(crate) seed: u64,
    /// How many stripes the aggregator had.
    pub(crate) stripes: u32,
    /// Which of them this is.
    pub(crate) stripe: u32,
    pub(crate) lsn: u64,
    pub(crate) outcomes: Outcomes,
    /// In the order of ids, each once.
    pub(crate) listed: Vec<Listed>,
}

/// One instrument of a [`StripeSnapshot`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    pub(crate) id: InstrumentId,
    pub(crate) description: Option<Arc<str>>,
    pub(crate) views: u64,
    pub(crate) ring: Ring,
}

impl StripeSnapshot {
    /// How many instruments it holds.
    pub fn instruments(&self) -> usize {
        self.listed.len()
    }

    /// Which stripe it is, counted from 0.
    pub const fn stripe(&self) -> u32 {
        self.stripe
    }

    /// The highest [`lsn`](crate::RecordContext::lsn) of any write that it holds: replay what came after.
    pub const fn lsn(&self) -> u64 {
        self.lsn
    }

    /// How many ticks had each outcome.
    pub const fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }
}

/// Why a snapshot was not taken in; nothing of it was.
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
    /// It was written by a version whose form this one does not know.
    UnknownVersion {
        /// The version it names.
        version: u32,
    },
    /// What it holds is not what was written.
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// Its parts are of different aggregators.
    Mixed,
    /// A stripe is there twice.
    Repeated {
        /// Which one.
        stripe: u32,
    },
    /// A stripe is not there.
    Missing {
        /// Which one.
        stripe: u32,
    },
    /// It holds more instruments than may be listed.
    Full {
        /// How many may be.
        max_instruments: usize,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVersion { version } => {
                write!(f, "the snapshot has version {version}, which is not known here")
            }
            Self::Damaged { what } => write!(f, "the snapshot is damaged: {what}"),
            Self::Mixed => f.write_str("the snapshot's parts are of different aggregators"),
            Self::Repeated { stripe } => write!(f, "the snapshot holds stripe {stripe} twice"),
            Self::Missing { stripe } => write!(f, "the snapshot lacks stripe {stripe}"),
            Self::Full { max_instruments } => {
                write!(f, "the snapshot holds more instruments than the {max_instruments} that may be listed")
            }
        }
    }
}

impl std::error::Error for SnapshotError {}
