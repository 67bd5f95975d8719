//! The memory of an aggregator, computed before it is allocated.

use super::Aggregator;
use super::stripes::Stripes;
use crate::config::Config;
use crate::handle::Handle;
use crate::instrument_id::InstrumentId;
use crate::leaders::Leaders;
use crate::stripe::Stripe;

/// Bytes of one entry of a stripe's table: a slot number and a tag.
const ENTRY_BYTES: usize = size_of::<u32>() + 1;

/// Bytes of one instrument in the catalogue, a B-tree with eleven entries a node. Nodes are three quarters full on average,
/// and inner nodes and links take a twelfth more.
const CATALOGUE_BYTES: usize = (size_of::<InstrumentId>() + size_of::<Handle>()) * 4 / 3 * 13 / 12;

impl Aggregator {
    /// Bytes of one listed instrument: 33 closed candles of 64 bytes, the forming candle, and about a hundred bytes of
    /// names and counters. Ids over 22 bytes and descriptions are not included.
    pub const BYTES_PER_INSTRUMENT: usize = Stripe::SLOT_BYTES + 2 * ENTRY_BYTES + CATALOGUE_BYTES;

    /// Returns the bytes that an aggregator with `instruments` instruments requests from its allocator.
    ///
    /// The result is exact to five per cent from a thousand instruments on. The overhead of the allocator, ids over
    /// 22 bytes and descriptions are not included.
    ///
    /// ```
    /// use candle_core::{Aggregator, Config};
    ///
    /// let megabytes = |instruments| Aggregator::memory_bytes(&Config::default(), instruments) / 1_000_000;
    /// assert_eq!([megabytes(50_000), megabytes(1_000_000)], [116, 2_327]);
    /// ```
    pub const fn memory_bytes(config: &Config, instruments: usize) -> usize {
        let stripes = config.stripes();
        let in_use = if instruments < stripes { instruments } else { stripes };
        // Arrays grow by an eighth, or by a few slots while they are short. On average half of that is spare.
        let spare_slots = instruments / 16 + in_use * Stripe::MIN_GROWTH / 2;
        stripes * Stripes::STRIPE_BYTES
            + Leaders::BYTES
            + instruments * Self::BYTES_PER_INSTRUMENT
            + spare_slots * (Stripe::SLOT_BYTES - Stripe::BOXED_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_an_instrument_is_pinned() {
        assert_eq!(Aggregator::BYTES_PER_INSTRUMENT, 2_318);
    }
}
