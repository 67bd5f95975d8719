//! The error of listing an instrument.

use std::fmt;

use crate::instrument_id::InvalidId;

/// The reason for which an id was not listed.
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
    /// The text is no valid id.
    InvalidId(InvalidId),
    /// The maximum number of instruments is listed.
    Full {
        /// The maximum.
        max_instruments: usize,
    },
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidId(invalid) => invalid.fmt(f),
            Self::Full { max_instruments } => {
                write!(
                    f,
                    "{max_instruments} instruments are listed, which is the maximum; delist one or raise the limit"
                )
            }
        }
    }
}

impl std::error::Error for ListError {}
