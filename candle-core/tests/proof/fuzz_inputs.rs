//! Inputs of the fuzz targets as tests: some random bytes, and every input that once failed.

use proptest::prelude::*;

use crate::bytes;

proptest! {
    #[test]
    fn bytes_as_ticks_give_the_candles_of_the_oracle(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        bytes::ticks(&bytes);
    }
}

/// Regression: the candle of the first minute of the year 1 was found in every slot before it, and evicted too early.
#[test]
fn the_first_minute_of_the_year_1_is_stored_once_and_as_long_as_any_other() {
    let mut input = vec![1, 0, 0];
    for minutes in [0, 1, 5, 25, 1, 1] {
        input.extend([4 + 8 * minutes, 1, 0, 0, 0, 0]);
    }
    bytes::ticks(&input);
}

/// Regression: for a reader 40 minutes behind the newest tick, the evicted candle is in the window. It was read as a gap.
#[test]
fn an_evicted_candle_inside_the_window_is_visible() {
    let mut input = vec![4, 0, 0];
    for clock in [4, 4 + 8 * 31, 4 + 8 * 9, 5 + 8 * 31] {
        input.extend([clock, 1, 0, 0, 0, 0]);
    }
    bytes::ticks(&input);
}
