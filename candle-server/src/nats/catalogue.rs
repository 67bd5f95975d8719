//! The instruments of an aggregator, a page at a time.

use candle_core::{Aggregator, Summary};

/// The number of instruments that are read under one lock of the catalogue.
const PAGE: usize = 1000;

/// Calls `each` for every listed instrument, in the order of ids.
pub(super) fn each_listed(aggregator: &Aggregator, mut each: impl FnMut(Summary)) {
    let mut page = aggregator.page(None, "", PAGE);
    while let Some(last) = page.last().map(|summary| summary.id.clone()) {
        page.into_iter().for_each(&mut each);
        page = aggregator.page(Some(last.as_str()), "", PAGE);
    }
}
