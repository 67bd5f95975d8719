//! One line of the catalogue.

use std::sync::Arc;

use crate::instrument_id::InstrumentId;

/// The longest description stored, in bytes. A longer description is cut at a character boundary. Room for a company's
/// full name, and a bound on the memory that a feed can use.
pub const MAX_DESCRIPTION_BYTES: usize = 256;

/// Cuts a description to [`MAX_DESCRIPTION_BYTES`].
pub(crate) fn cut_description(text: &str) -> Arc<str> {
    let mut end = text.len().min(MAX_DESCRIPTION_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

/// One line of the catalogue: a listed instrument without its candles.
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Summary {
    /// The id.
    pub id: InstrumentId,
    /// The description from the last listing.
    pub description: Option<Arc<str>>,
    /// The price of the last tick.
    pub last_price: Option<f64>,
    /// The number of views since the instrument was listed.
    pub views: u64,
}
