//! What the catalogue says of an instrument, and why one is not in it.

use std::fmt;
use std::sync::Arc;

use crate::instrument::{BadId, InstrumentId};

/// The longest description kept, in bytes; a longer one is cut at a character. Room for a company's full name, and a
/// bound on what a feed can make us store.
pub const MAX_DESCRIPTION_BYTES: usize = 256;

/// Why an instrument was not listed.
///
/// ```
/// use candle_core::{Aggregator, Config, ListError};
///
/// let aggregator = Aggregator::new(Config::default().with_max_instruments(1));
/// aggregator.list("a", None)?;
/// assert_eq!(aggregator.list("b", None), Err(ListError::Full { max_instruments: 1 }));
/// # Ok::<(), ListError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// The id is none.
    BadId(BadId),
    /// As many instruments are listed as may be.
    Full {
        /// How many that is.
        max_instruments: usize,
    },
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadId(bad) => bad.fmt(f),
            Self::Full { max_instruments } => {
                write!(f, "{max_instruments} instruments are listed, which is as many as may be")
            }
        }
    }
}

impl std::error::Error for ListError {}

/// One line of the catalogue.
///
/// ```
/// # use candle_core::{Aggregator, ListError};
/// let aggregator = Aggregator::default();
/// aggregator.list("BTC", Some("Bitcoin"))?;
/// let page = aggregator.page(None, "", 100);
/// assert_eq!(page[0].description.as_deref(), Some("Bitcoin"));
/// # Ok::<(), ListError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The instrument.
    pub id: InstrumentId,
    /// What its lister said of it.
    pub description: Option<Arc<str>>,
    /// The price of its last tick.
    pub last_price: Option<f64>,
    /// How often it was viewed since it was listed.
    pub views: u64,
}
