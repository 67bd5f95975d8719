//! The stored form: decoding returns what was encoded, and other bytes are a typed error.

use candle_core::{Aggregator, Config, SnapshotError, StripeSnapshot, Tick};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::bytes::{self, assert_harmless, assert_working};
use crate::oracle::MINUTE;
use crate::snapshot::{IDS, filled};
use crate::ticks::{Steps, at, steps};

fn written() -> StripeSnapshot {
    let aggregator = Aggregator::new(Config::default().with_stripes(1).with_seed(1));
    for (minute, id) in [(0, "a"), (1, "a"), (40, "a"), (41, "a"), (3, "b")] {
        aggregator.list(id, Some("described")).unwrap();
        let now = at(minute * 60_000_000);
        assert!(aggregator.record(id, &Tick::new(now, 2.5).with_size(0.1).with_seq(9), now).is_accepted());
        aggregator.count_view(id);
    }
    aggregator.snapshot().next().unwrap()
}

proptest! {
    #[test]
    fn decoding_returns_what_was_encoded(
        Steps { steps, .. } in steps(1..100), picks in prop::collection::vec((0..IDS.len(), 0..3_usize), 100),
    ) {
        let aggregator = filled(&steps.iter().map(|step| (step.tick, step.now)).collect::<Vec<_>>(), &picks);
        for part in aggregator.snapshot() {
            prop_assert_eq!(&StripeSnapshot::decode(&part.encode()).unwrap(), &part);
            let json = serde_json::to_string(&part).unwrap();
            prop_assert_eq!(&serde_json::from_str::<StripeSnapshot>(&json).unwrap(), &part);
            let bytes = postcard::to_allocvec(&part).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<StripeSnapshot>(&bytes).unwrap(), &part);
        }
    }

    #[test]
    fn no_bytes_panic_or_use_more_memory_than_a_multiple_of_their_number(
        mut bytes in prop::collection::vec(prop_oneof![2 => any::<u8>(), 1 => 0..4_u8, 1 => Just(255)], 0..400),
        with_header in any::<bool>(),
    ) {
        if with_header {
            // The header of a valid snapshot, so that the bytes are read as lengths of lists.
            let head = postcard::to_allocvec(&Aggregator::new(Config::default().with_stripes(1).with_seed(1)).snapshot().next()).unwrap();
            let head = &head[1..head.len() - 1];
            bytes.splice(0..0, head.iter().copied());
        }
        let counted = allocation_counter::measure(|| bytes::snapshot(&bytes));
        prop_assert!(counted.bytes_max < 16_000_000 + 4_000 * bytes.len() as u64, "{} for {}", counted.bytes_max, bytes.len());
    }

    #[test]
    fn a_changed_byte_of_the_fields_is_refused_or_harmless(index in any::<usize>(), to in any::<u8>()) {
        let mut bytes = postcard::to_allocvec(&written()).unwrap();
        let index = index % bytes.len();
        bytes[index] = to;
        if let Ok(part) = postcard::from_bytes::<StripeSnapshot>(&bytes) {
            assert_harmless(&part);
        }
    }
}

#[test]
fn every_changed_bit_of_the_compact_form_is_an_error() {
    let stored = written().encode();
    for index in 0..stored.len() {
        for bit in 0..8 {
            let mut damaged = stored.clone();
            damaged[index] ^= 1 << bit;
            let read = StripeSnapshot::decode(&damaged);
            assert!(
                matches!(read, Err(SnapshotError::UnknownVersion { .. } | SnapshotError::Damaged { .. })),
                "{index}.{bit}"
            );
        }
    }
    for len in 0..stored.len() {
        assert!(matches!(StripeSnapshot::decode(&stored[..len]), Err(SnapshotError::Damaged { .. })), "cut to {len}");
    }
    let longer: Vec<u8> = stored.iter().copied().chain([0]).collect();
    assert!(matches!(StripeSnapshot::decode(&longer), Err(SnapshotError::Damaged { .. })));
}

#[test]
fn an_unknown_version_is_a_typed_error_whatever_follows_it() {
    assert_eq!(written().encode()[0], 2);
    for rest in [&b""[..], b"a form that nobody knows yet"] {
        let bytes: Vec<u8> = [3].iter().chain(rest).copied().collect();
        let error = StripeSnapshot::decode(&bytes).unwrap_err();
        assert_eq!(error, SnapshotError::UnknownVersion { version: 3 });
        assert_eq!(
            error.to_string(),
            "the snapshot has format version 3, which this version cannot read; use a newer version"
        );
    }
    let error = serde_json::from_str::<StripeSnapshot>(r#"{"version":3,"else":[]}"#).unwrap_err();
    assert!(error.to_string().contains("format version 3, which this version cannot read"), "{error}");
}

#[test]
fn each_damaged_field_is_refused_with_a_reason_of_its_own() {
    let valid = serde_json::to_value(written()).unwrap();
    assert!(serde_json::from_value::<StripeSnapshot>(valid.clone()).is_ok());
    let candle = |index: usize, field: &str| format!("/listed/0/candles/{index}/{field}");
    let invalid = "the candles of a ring are invalid";
    for (path, value, reason) in [
        ("/stripes".into(), json!(3), "the number of the stripe is out of range"),
        ("/stripes".into(), json!(2048), "the number of the stripe is out of range"),
        ("/stripe".into(), json!(1), "the number of the stripe is out of range"),
        ("/listed/0/id".into(), json!("a "), "an instrument id is invalid"),
        ("/listed/0/id".into(), json!("x".repeat(65)), "an instrument id is invalid"),
        ("/listed/0/id".into(), json!("b"), "the ids are not in order, or one is repeated"),
        ("/listed/0/id".into(), json!("c"), "the ids are not in order, or one is repeated"),
        ("/listed/0/description".into(), json!("x".repeat(257)), "a description is too long"),
        (candle(0, "count"), json!(0), invalid),
        (candle(0, "count"), json!(1 << 30), invalid),
        (candle(0, "open_time"), json!(1), invalid),
        (candle(0, "open_time"), json!(41 * MINUTE), invalid),
        (candle(0, "open_time"), json!(40 * MINUTE), invalid),
        (candle(1, "open_time"), json!(9 * MINUTE), invalid),
        (candle(0, "buy_volume"), json!(0.2), invalid),
        (candle(0, "buy_volume"), json!(-0.1), invalid),
        ("/interval".into(), json!(7), "the interval or the window is out of range"),
        ("/window".into(), json!(0), "the interval or the window is out of range"),
        ("/window".into(), json!(1_441), "the interval or the window is out of range"),
        ("/interval".into(), json!(120), invalid),
        (candle(0, "open"), json!(2.0), invalid),
        (candle(0, "close"), json!(3.0), invalid),
        (candle(0, "low"), json!(2.6), invalid),
        (candle(0, "high"), json!(2.4), invalid),
        (candle(0, "volume"), json!(-1.0), invalid),
        (candle(0, "first"), json!(60_000_000_u64 << 38), invalid),
        (candle(0, "first"), json!(1_u64 << 38), invalid),
    ] {
        let mut damaged = valid.clone();
        *damaged.pointer_mut(&path).unwrap() = value.clone();
        let result = serde_json::from_value::<StripeSnapshot>(damaged);
        let error = result.expect_err(&format!("{path} {value}")).to_string();
        assert!(error.contains(reason), "{path} {value}: {error}");
    }
    let mut crowded = valid.clone();
    let candle = crowded["listed"][0]["candles"][0].clone();
    crowded["listed"][0]["candles"] = Value::Array(vec![candle; 34]);
    let error = serde_json::from_value::<StripeSnapshot>(crowded).unwrap_err().to_string();
    assert!(error.contains("a ring has too many candles"), "{error}");
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    // JSON cannot express these numbers; the compact form can.
    let valid = postcard::to_allocvec(&written()).unwrap();
    let price = 2.5_f64.to_le_bytes();
    let positions: Vec<_> =
        valid.windows(8).enumerate().filter(|(_, bytes)| *bytes == price).map(|(index, _)| index).collect();
    assert_eq!(positions.len(), 4 * 4);
    for index in positions {
        for invalid in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut damaged = valid.clone();
            damaged[index..index + 8].copy_from_slice(&invalid.to_le_bytes());
            assert!(postcard::from_bytes::<StripeSnapshot>(&damaged).is_err());
        }
    }
}

#[test]
fn an_instrument_in_the_wrong_stripe_is_a_typed_error() {
    let aggregator = Aggregator::new(Config::default().with_stripes(2).with_seed(1));
    IDS.into_iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
    let mut parts: Vec<_> = aggregator.snapshot().map(|part| serde_json::to_value(part).unwrap()).collect();
    (parts[0]["stripe"], parts[1]["stripe"]) = (json!(1), json!(0));
    let parts = parts.into_iter().map(|part| serde_json::from_value(part).unwrap()).collect();
    let error = Aggregator::restore(Config::default(), parts).unwrap_err();
    assert_eq!(error, SnapshotError::Damaged { what: "an instrument belongs to another stripe" });
}

#[test]
fn counts_at_their_maximum_do_not_overflow() {
    let mut value = serde_json::to_value(written()).unwrap();
    value["outcomes"] = json!(vec![u64::MAX; 10]);
    value["listed"][0]["views"] = json!(u64::MAX);
    value["listed"][0]["candles"][2]["count"] = json!((1_u32 << 30) - 1);
    value["mark"] = json!(u64::MAX);
    let part: StripeSnapshot = serde_json::from_value(value).unwrap();
    let restored = Aggregator::restore(Config::default(), vec![part.clone()]).unwrap();
    restored.merge(&part).unwrap();
    assert_working(&restored);
    assert_eq!(restored.count_view("a"), Some(u64::MAX));
    let tick = Tick::new(at(0), 1.0);
    let batch = vec![("a", tick); 4 * restored.config().stripes()];
    assert_eq!(restored.record_batch(&batch, at(0)).received(), batch.len() as u64);
    assert_eq!(restored.outcomes().received(), u64::MAX);
}
