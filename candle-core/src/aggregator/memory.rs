//! The memory of an aggregator, computed before it is allocated.

use super::Aggregator;
use super::stripes::Stripes;
use crate::config::Config;
use crate::handle::Handle;
use crate::instrument_id::InstrumentId;
use crate::leaders::Leaders;
use crate::stripe::Stripe;
use crate::window::Window;

/// Bytes of one entry of a stripe's table: a slot number and a tag.
const ENTRY_BYTES: usize = size_of::<u32>() + 1;

/// Bytes of one instrument in the catalogue, a B-tree with eleven entries a node. Nodes are three quarters full on average,
/// and inner nodes and links take a twelfth more.
const CATALOGUE_BYTES: usize = (size_of::<InstrumentId>() + size_of::<Handle>()) * 4 / 3 * 13 / 12;

impl Aggregator {
    /// Returns the bytes of one listed instrument with this window: 80 for each stored candle and for the close before
    /// them, the newest candle, and about a hundred bytes of names and counters. Ids over 22 bytes and descriptions are not
    /// included.
    pub const fn bytes_per_instrument(window: Window) -> usize {
        Stripe::SLOT_BYTES + Stripe::closed_bytes(window) + 2 * ENTRY_BYTES + CATALOGUE_BYTES
    }

    /// Returns the bytes that an aggregator with `instruments` instruments requests from its allocator.
    ///
    /// The result is exact to five per cent from a thousand instruments on. The overhead of the allocator, ids over
    /// 22 bytes and descriptions are not included.
    ///
    /// ```
    /// use candle_core::{Aggregator, Config};
    ///
    /// let megabytes = |instruments| Aggregator::memory_bytes(&Config::default(), instruments) / 1_000_000;
    /// assert_eq!([megabytes(50_000), megabytes(1_000_000)], [143, 2_863]);
    /// ```
    pub const fn memory_bytes(config: &Config, instruments: usize) -> usize {
        let (stripes, window) = (config.stripes(), config.window());
        let in_use = if instruments < stripes { instruments } else { stripes };
        // Arrays grow by an eighth, or by a few slots while they are short. On average half of that is spare, and half of
        // a chunk of closed candles.
        let spare_slots = instruments / 16 + in_use * Stripe::MIN_GROWTH / 2;
        let spare_closed = in_use * Stripe::spare_closed(window, instruments / stripes);
        stripes * Stripes::STRIPE_BYTES
            + Leaders::BYTES
            + instruments * Self::bytes_per_instrument(window)
            + spare_slots * Stripe::SLOT_BYTES
            + spare_closed * Stripe::closed_bytes(window)
    }
}

#[cfg(test)]
mod tests {
    use crate::interval::Interval;

    use super::*;

    #[test]
    fn the_size_of_an_instrument_is_pinned() {
        let bytes = |interval, candles| Aggregator::bytes_per_instrument(Window::new(interval, candles).unwrap());
        let minutes = [30, 60, 240, 1_440].map(|candles| bytes(Interval::MINUTE, candles));
        assert_eq!(bytes(Interval::SECOND, 7_200), 582_078);
        assert_eq!(minutes, [2_854, 5_254, 19_678, 115_830]);
        assert_eq!(
            [bytes(Interval::SECOND, 60), bytes(Interval::SECOND, 600), bytes(Interval::DAY, 365)],
            [9_982, 53_254, 29_694]
        );
    }
}
