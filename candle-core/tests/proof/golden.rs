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
    let decoded = StripeSnapshot::decode(VERSION_1).unwrap();
    let restored = Aggregator::restore(Config::default(), vec![decoded]).unwrap();
    let (old, new) = (restored.history("BTC").unwrap(), original().history("BTC").unwrap());
    assert_eq!((old.description, old.views, restored.len()), (new.description, new.views, 2));
    assert_eq!(restored.outcomes(), original().outcomes());
    for (old, new) in old.ring.stored().zip(new.ring.stored()) {
        assert_eq!(old.to_string(), new.to_string());
        assert_eq!((old.first_time(), old.last_time()), (new.first_time(), new.last_time()));
        assert_eq!((old.count(), old.is_revised(), old.buy_volume()), (new.count(), new.is_revised(), new.volume()));
        // The mean of high, low and close stands for the average price, which was not recorded.
        let mean = (new.high() + new.low() + new.close()) / 3.0;
        assert!(old.vwap().is_none_or(|vwap| (vwap - mean).abs() < 1e-9), "{old} {new}");
    }
    assert_eq!(old.ring.stored().count(), 4);
}

#[test]
fn a_snapshot_of_version_2_is_decoded_and_encoded() {
    let original = original().snapshot().next().unwrap();
    assert_eq!(StripeSnapshot::decode(VERSION_2).unwrap(), original);
    assert_eq!(original.encode(), VERSION_2);
}

/// Written by format version 2.
const VERSION_2: &[u8] = &[
    2, 1, 1, 0, 0, 4, 1, 1, 0, 0, 0, 0, 0, 0, 0, 60, 30, 2, 3, 66, 84, 67, 1, 7, 66, 105, 116, 99, 111, 105, 110, 1, 4,
    128, 156, 156, 57, 0, 0, 0, 0, 0, 0, 38, 64, 0, 0, 0, 0, 0, 0, 38, 64, 0, 0, 0, 0, 0, 0, 38, 64, 0, 0, 0, 0, 0, 0,
    38, 64, 0, 0, 0, 0, 0, 0, 208, 63, 0, 0, 0, 0, 0, 0, 208, 63, 0, 0, 0, 0, 0, 0, 6, 64, 1, 0, 2, 2, 128, 196, 204,
    183, 17, 0, 0, 0, 0, 0, 0, 42, 64, 0, 0, 0, 0, 0, 0, 42, 64, 0, 0, 0, 0, 0, 0, 42, 64, 0, 0, 0, 0, 0, 0, 42, 64, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 137, 128, 128, 128, 128, 248, 239, 240,
    228, 1, 137, 128, 128, 128, 128, 248, 239, 240, 228, 1, 128, 224, 232, 240, 17, 0, 0, 0, 0, 0, 128, 40, 64, 0, 0,
    0, 0, 0, 0, 41, 64, 0, 0, 0, 0, 0, 128, 40, 64, 0, 0, 0, 0, 0, 0, 41, 64, 0, 0, 0, 0, 0, 0, 8, 64, 0, 0, 0, 0, 0,
    0, 8, 64, 0, 0, 0, 0, 0, 128, 66, 64, 2, 0, 255, 255, 255, 255, 255, 7, 3, 128, 252, 132, 170, 18, 0, 0, 0, 0, 0,
    128, 35, 64, 0, 0, 0, 0, 0, 128, 35, 64, 0, 0, 0, 0, 0, 128, 35, 64, 0, 0, 0, 0, 0, 128, 35, 64, 0, 0, 0, 0, 0, 0,
    16, 64, 0, 0, 0, 0, 0, 0, 16, 64, 0, 0, 0, 0, 0, 128, 67, 64, 1, 0, 132, 128, 128, 128, 128, 8, 132, 128, 128, 128,
    128, 8, 34, 97, 110, 45, 105, 100, 45, 116, 104, 97, 116, 45, 105, 115, 45, 108, 111, 110, 103, 101, 114, 45, 116,
    104, 97, 110, 45, 50, 50, 45, 98, 121, 116, 101, 115, 0, 0, 0, 49, 131, 93, 225, 72, 241, 232, 166,
];

#[test]
fn a_snapshot_of_version_1_is_read_from_json() {
    let candle = r#"{"minute":1,"open":2.0,"high":3.0,"low":1.0,"close":2.0,"volume":4.0,"count":5,"revised":false,"first":0,"last":1}"#;
    let listed = format!(r#"[{{"id":"a","description":null,"views":3,"candles":[{candle}]}}]"#);
    let rest = r#""seed":1,"stripes":1,"stripe":0,"mark":7,"outcomes":[1,4,0,0,0,0,0,0,0,0]"#;
    // The version comes first when it is written, but other programs may order the fields.
    for json in
        [format!(r#"{{"version":1,{rest},"listed":{listed}}}"#), format!(r#"{{"listed":{listed},{rest},"version":1}}"#)]
    {
        let part: StripeSnapshot = serde_json::from_str(&json).unwrap();
        assert_eq!((part.lsn(), part.instruments(), part.window()), (7, 1, candle_core::Window::DEFAULT));
        let restored = Aggregator::restore(Config::default(), vec![part]).unwrap();
        assert_eq!(restored.history("a").unwrap().ring.newest().unwrap().to_string(), "1970-01-01T00:01:00Z 2 3 1 2 4");
        assert!(serde_json::from_str::<StripeSnapshot>(&json.replace("version\":1", "version\":2")).is_err());
    }
}
