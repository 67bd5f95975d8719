//! The catalogue of a feed, and the instruments of an aggregator.

use candle_core::{Aggregator, Summary};

/// The relation between the feed and the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catalogue {
    /// The feed announces every instrument after a connect. Other instruments are delisted.
    Announced,
    /// The feed does not announce instruments. No instrument is delisted because the feed does not list it.
    Unannounced,
}

/// The number of instruments that are read under one lock of the catalogue.
const PAGE: usize = 1000;

/// Calls `each` for every listed instrument, in the order of ids.
pub(crate) fn each_listed(aggregator: &Aggregator, mut each: impl FnMut(Summary)) {
    let mut page = aggregator.page(None, "", PAGE);
    while let Some(last) = page.last().map(|summary| summary.id.clone()) {
        page.into_iter().for_each(&mut each);
        page = aggregator.page(Some(last.as_str()), "", PAGE);
    }
}
