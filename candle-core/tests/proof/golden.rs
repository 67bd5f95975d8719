//! Snapshots that earlier versions stored.

use candle_core::{Aggregator, Config, StripeSnapshot, Tick};

use crate::ticks::at;

/// The aggregator whose snapshot is [`VERSION_1`]: late ticks, a candle that left the window, equal times, a large
/// sequence number.
pub(crate) fn original() -> Aggregator {
    let aggregator = Aggregator::new(Config::default().with_stripes(1).with_seed(1));
    aggregator.list("BTC", Some("Bitcoin")).unwrap();
    aggregator.list("an-id-that-is-longer-than-22-bytes", None).unwrap();
    let minute = 60_000_000;
    for (time, now, price, size, seq) in [
        (5, 5, 10.0, 0.5, 1),
        (minute, minute, 11.0, 0.25, 2),
        (40 * minute, 40 * minute, 12.5, 1.0, 3),
        (40 * minute, 40 * minute, 12.25, 2.0, u64::MAX),
        (39 * minute + 59_999_999, 40 * minute, 13.0, 0.0, 9),
        (41 * minute + 1, 41 * minute + 2, 9.75, 4.0, 4),
    ] {
        let tick = Tick::new(at(time), price).with_size(size).with_seq(seq);
        assert!(aggregator.record("BTC", &tick, at(now)).is_accepted());
    }
    aggregator.count_view("BTC");
    aggregator
}

/// Written by format version 1, before candles had buy and quote volume.
const VERSION_1: &[u8] = &[
    1, 1, 1, 0, 0, 4, 1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 3, 66, 84, 67, 1, 7, 66, 105, 116, 99, 111, 105, 110, 1, 4, 2, 0,
    0, 0, 0, 0, 0, 38, 64, 0, 0, 0, 0, 0, 0, 38, 64, 0, 0, 0, 0, 0, 0, 38, 64, 0, 0, 0, 0, 0, 0, 38, 64, 0, 0, 0, 0, 0,
    0, 208, 63, 1, 0, 2, 2, 78, 0, 0, 0, 0, 0, 0, 42, 64, 0, 0, 0, 0, 0, 0, 42, 64, 0, 0, 0, 0, 0, 0, 42, 64, 0, 0, 0,
    0, 0, 0, 42, 64, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 137, 128, 128, 128, 128, 248, 239, 240, 228, 1, 137, 128, 128, 128,
    128, 248, 239, 240, 228, 1, 80, 0, 0, 0, 0, 0, 128, 40, 64, 0, 0, 0, 0, 0, 0, 41, 64, 0, 0, 0, 0, 0, 128, 40, 64,
    0, 0, 0, 0, 0, 0, 41, 64, 0, 0, 0, 0, 0, 0, 8, 64, 2, 0, 255, 255, 255, 255, 255, 7, 3, 82, 0, 0, 0, 0, 0, 128, 35,
    64, 0, 0, 0, 0, 0, 128, 35, 64, 0, 0, 0, 0, 0, 128, 35, 64, 0, 0, 0, 0, 0, 128, 35, 64, 0, 0, 0, 0, 0, 0, 16, 64,
    1, 0, 132, 128, 128, 128, 128, 8, 132, 128, 128, 128, 128, 8, 34, 97, 110, 45, 105, 100, 45, 116, 104, 97, 116, 45,
    105, 115, 45, 108, 111, 110, 103, 101, 114, 45, 116, 104, 97, 110, 45, 50, 50, 45, 98, 121, 116, 101, 115, 0, 0, 0,
    26, 205, 53, 99, 206, 36, 12, 86,
];

#[test]
fn a_snapshot_of_version_1_is_decoded() {
    assert_eq!(StripeSnapshot::decode(VERSION_1).unwrap(), original().snapshot().next().unwrap());
}
