//! The catalogue: the list of all instruments.

use candle_core::{Aggregator, Summary};

/// States if a feed announces its catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catalogue {
    /// The feed announces every instrument after each connect. Instruments that the feed does not announce are
    /// delisted.
    Announced,
    /// The feed does not announce instruments. An instrument is delisted only if the feed sends its delisting.
    Unannounced,
}

/// The number of instruments that are read each time the catalogue is locked.
const PAGE: usize = 1000;

/// Calls `each` for every listed instrument, sorted by id.
pub(crate) fn each_listed(aggregator: &Aggregator, mut each: impl FnMut(Summary)) {
    let mut page = aggregator.page(None, "", PAGE);
    while let Some(last) = page.last().map(|summary| summary.id.clone()) {
        page.into_iter().for_each(&mut each);
        page = aggregator.page(Some(last.as_str()), "", PAGE);
    }
}
