//! What an aggregator takes, known before it is made.

use super::{Aggregator, Padded};
use crate::config::Config;
use crate::instrument::{Handle, InstrumentId};
use crate::stripe::Stripe;
use crate::top_k::TopK;

/// Bytes of one entry of a stripe's table: the slot's number and a tag.
const ENTRY_BYTES: usize = size_of::<u32>() + 1;

/// Bytes of one instrument in the catalogue: a B-tree of eleven to a node, on average three quarters full, with a twelfth
/// more for inner nodes and links.
const CATALOGUE_BYTES: usize = (size_of::<InstrumentId>() + size_of::<Handle>()) * 4 / 3 * 13 / 12;

impl Aggregator {
    /// Bytes that one listed instrument takes: 33 closed candles of 64 bytes, the forming one, and about a hundred bytes
    /// of names and counters. Ids over 22 bytes and descriptions come on top.
    pub const BYTES_PER_INSTRUMENT: usize = Stripe::SLOT_BYTES + 2 * ENTRY_BYTES + CATALOGUE_BYTES;

    /// Bytes that an aggregator with this many instruments asks its allocator for, to within five per cent from a
    /// thousand instruments on; what the allocator adds, ids over 22 bytes and descriptions come on top.
    ///
    /// ```
    /// use candle_core::{Aggregator, Config};
    ///
    /// let megabytes = |instruments| Aggregator::memory_bytes(&Config::default(), instruments) / 1_000_000;
    /// assert_eq!([megabytes(50_000), megabytes(1_000_000)], [116, 2_319]);
    /// ```
    pub const fn memory_bytes(config: &Config, instruments: usize) -> usize {
        let stripes = config.stripes();
        let in_use = if instruments < stripes { instruments } else { stripes };
        // Arrays grow by an eighth, or by a few slots where they are short: on average half of that is spare.
        let spare_slots = instruments / 16 + in_use * Stripe::MIN_GROWTH / 2;
        stripes * size_of::<Padded>()
            + TopK::BYTES
            + instruments * Self::BYTES_PER_INSTRUMENT
            + spare_slots * (Stripe::SLOT_BYTES - Stripe::BOXED_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_an_instrument_is_pinned() {
        assert_eq!(Aggregator::BYTES_PER_INSTRUMENT, 2_312);
    }
}
