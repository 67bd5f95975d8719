//! The stored form: what was written is what is read, and what was not written is a typed error.

use candle_core::{Aggregator, Config, SnapshotError, StripeSnapshot, Tick};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::bytes::{self, assert_harmless, assert_working};
use crate::inputs::{Steps, at, steps};
use crate::snapshot::{IDS, filled};

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
    fn what_was_written_is_what_is_read(
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
    fn no_bytes_panic_or_take_more_memory_than_a_multiple_of_their_number(
        mut bytes in prop::collection::vec(prop_oneof![2 => any::<u8>(), 1 => 0..4_u8, 1 => Just(255)], 0..400),
        like_one in any::<bool>(),
    ) {
        if like_one {
            // The head of a real one, so that lists of claimed lengths follow.
            let head = postcard::to_allocvec(&Aggregator::new(Config::default().with_stripes(1).with_seed(1)).snapshot().next()).unwrap();
            let head = &head[1..head.len() - 1];
            bytes.splice(0..0, head.iter().copied());
        }
        let counted = allocation_counter::measure(|| bytes::snapshot(&bytes));
        prop_assert!(counted.bytes_max < 16_000_000 + 4_000 * bytes.len() as u64, "{} for {}", counted.bytes_max, bytes.len());
    }

    #[test]
    fn a_changed_byte_of_the_fields_is_refused_or_harmless(place in any::<usize>(), to in any::<u8>()) {
        let mut bytes = postcard::to_allocvec(&written()).unwrap();
        let place = place % bytes.len();
        bytes[place] = to;
        if let Ok(part) = postcard::from_bytes::<StripeSnapshot>(&bytes) {
            assert_harmless(&part);
        }
    }
}

#[test]
fn every_changed_bit_of_the_compact_form_is_an_error() {
    let stored = written().encode();
    for place in 0..stored.len() {
        for bit in 0..8 {
            let mut damaged = stored.clone();
            damaged[place] ^= 1 << bit;
            let read = StripeSnapshot::decode(&damaged);
            assert!(
                matches!(read, Err(SnapshotError::UnknownVersion { .. } | SnapshotError::Damaged { .. })),
                "{place}.{bit}"
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
fn an_unknown_version_is_named_whatever_follows_it() {
    assert_eq!(written().encode()[0], 1);
    for rest in [&b""[..], b"a form that nobody knows yet"] {
        let bytes: Vec<u8> = [2].iter().chain(rest).copied().collect();
        let error = StripeSnapshot::decode(&bytes).unwrap_err();
        assert_eq!(error, SnapshotError::UnknownVersion { version: 2 });
        assert_eq!(error.to_string(), "the snapshot has version 2, which is not known here");
    }
    let error = serde_json::from_str::<StripeSnapshot>(r#"{"version":2,"else":[]}"#).unwrap_err();
    assert!(error.to_string().contains("version 2, which is not known here"), "{error}");
}

#[test]
fn each_damaged_field_is_refused_with_its_own_reason() {
    let sound = serde_json::to_value(written()).unwrap();
    assert!(serde_json::from_value::<StripeSnapshot>(sound.clone()).is_ok());
    let candle = |place: usize, field: &str| format!("/listed/0/candles/{place}/{field}");
    let none = "candles are none that a ring holds";
    for (path, value, reason) in [
        ("/stripes".into(), json!(3), "no such stripe"),
        ("/stripes".into(), json!(2048), "no such stripe"),
        ("/stripe".into(), json!(1), "no such stripe"),
        ("/listed/0/id".into(), json!("popular"), "an instrument id is none"),
        ("/listed/0/id".into(), json!("x".repeat(65)), "an instrument id is none"),
        ("/listed/0/id".into(), json!("b"), "ids are not in order, or one is there twice"),
        ("/listed/0/id".into(), json!("c"), "ids are not in order, or one is there twice"),
        ("/listed/0/description".into(), json!("x".repeat(257)), "a description is too long"),
        (candle(0, "count"), json!(0), none),
        (candle(0, "count"), json!(1 << 30), none),
        (candle(0, "minute"), json!(i64::MAX), none),
        (candle(0, "minute"), json!(41), none),
        (candle(0, "minute"), json!(40), none),
        (candle(1, "minute"), json!(9), none),
        (candle(0, "open"), json!(2.0), none),
        (candle(0, "close"), json!(3.0), none),
        (candle(0, "low"), json!(2.6), none),
        (candle(0, "high"), json!(2.4), none),
        (candle(0, "volume"), json!(-1.0), none),
        (candle(0, "first"), json!(60_000_000_u64 << 38), none),
        (candle(0, "first"), json!(1_u64 << 38), none),
    ] {
        let mut damaged = sound.clone();
        *damaged.pointer_mut(&path).unwrap() = value.clone();
        let result = serde_json::from_value::<StripeSnapshot>(damaged);
        let error = result.expect_err(&format!("{path} {value}")).to_string();
        assert!(error.contains(reason), "{path} {value}: {error}");
    }
    let mut crowded = sound.clone();
    let candle = crowded["listed"][0]["candles"][0].clone();
    crowded["listed"][0]["candles"] = Value::Array(vec![candle; 34]);
    let error = serde_json::from_value::<StripeSnapshot>(crowded).unwrap_err().to_string();
    assert!(error.contains("a ring holds too many candles"), "{error}");
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    // JSON has none; the compact form can hold them.
    let sound = postcard::to_allocvec(&written()).unwrap();
    let price = 2.5_f64.to_le_bytes();
    let places: Vec<_> =
        sound.windows(8).enumerate().filter(|(_, bytes)| *bytes == price).map(|(place, _)| place).collect();
    assert_eq!(places.len(), 4 * 4);
    for place in places {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut damaged = sound.clone();
            damaged[place..place + 8].copy_from_slice(&bad.to_le_bytes());
            assert!(postcard::from_bytes::<StripeSnapshot>(&damaged).is_err());
        }
    }
}

#[test]
fn an_instrument_in_anothers_stripe_is_a_typed_error() {
    let aggregator = Aggregator::new(Config::default().with_stripes(2).with_seed(1));
    IDS.into_iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
    let mut parts: Vec<_> = aggregator.snapshot().map(|part| serde_json::to_value(part).unwrap()).collect();
    (parts[0]["stripe"], parts[1]["stripe"]) = (json!(1), json!(0));
    let parts = parts.into_iter().map(|part| serde_json::from_value(part).unwrap()).collect();
    let error = Aggregator::restore(Config::default(), parts).unwrap_err();
    assert_eq!(error, SnapshotError::Damaged { what: "an instrument is in another's stripe" });
}

#[test]
fn counts_at_their_end_do_not_overflow() {
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
