//! The fuzz targets' inputs as ordinary tests: a little at random, and every one that ever broke something by name.

use proptest::prelude::*;

use crate::bytes;

proptest! {
    #[test]
    fn bytes_as_ticks_give_what_the_obvious_program_gives(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        bytes::ticks(&bytes);
    }
}

/// The candle of the first minute of all was found in every slot before it, and let go of too early.
#[test]
fn the_first_minute_of_all_is_held_once_and_as_long_as_any_other() {
    let mut input = vec![1, 0, 0];
    for minutes in [0, 1, 5, 25, 1, 1] {
        input.extend([4 + 8 * minutes, 1, 0, 0, 0, 0]);
    }
    bytes::ticks(&input);
}

/// A reader 40 minutes behind the newest tick has the seed's own minute in view: it was shown as a gap.
#[test]
fn a_seed_that_is_in_view_is_shown() {
    let mut input = vec![4, 0, 0];
    for clock in [4, 4 + 8 * 31, 4 + 8 * 9, 5 + 8 * 31] {
        input.extend([clock, 1, 0, 0, 0, 0]);
    }
    bytes::ticks(&input);
}
