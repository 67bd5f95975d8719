//! The serialised forms of what is read.

use candle_core::{Aggregator, InstrumentId, Popular, Summary, Timestamp, timestamp};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Times {
    plain: Timestamp,
    #[serde(with = "timestamp::seconds")]
    seconds: Timestamp,
    #[serde(with = "timestamp::millis")]
    millis: Timestamp,
    #[serde(with = "timestamp::micros")]
    micros: Timestamp,
    #[serde(with = "timestamp::rfc3339")]
    text: Timestamp,
}

impl From<Timestamp> for Times {
    fn from(at: Timestamp) -> Self {
        Self { plain: at, seconds: at, millis: at, micros: at, text: at }
    }
}

proptest! {
    #[test]
    fn times_survive_in_every_unit(micros in -(1_000_000_i64 << 33)..(1_000_000 << 33)) {
        let times = Times::from(Timestamp::from_micros(micros).unwrap());
        let json = serde_json::to_string(&times).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Times>(&json).unwrap(), &times);
        let bytes = postcard::to_allocvec(&times).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<Times>(&bytes).unwrap(), &times);
    }
}

#[test]
fn times_out_of_range_are_refused() {
    for json in ["1e30", "-1e30", "null", "\"1\"", "253402300800", "18446744073709551615"] {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        assert!(timestamp::seconds::deserialize(&mut deserializer).is_err(), "{json}");
    }
    for json in ["1", "\"yesterday\""] {
        assert!(timestamp::rfc3339::deserialize(&mut serde_json::Deserializer::from_str(json)).is_err(), "{json}");
    }
}

#[test]
fn lines_of_the_catalogue_and_of_the_top_survive() {
    let aggregator = Aggregator::default();
    aggregator.list("BRK B", Some("Berkshire")).unwrap();
    aggregator.count_view("BRK B");
    let lines = aggregator.page(None, "", 10);
    let json = serde_json::to_string(&lines).unwrap();
    assert_eq!(json, r#"[{"id":"BRK B","description":"Berkshire","last_price":null,"views":1}]"#);
    assert_eq!(serde_json::from_str::<Vec<Summary>>(&json).unwrap(), lines);
    let top = aggregator.top(10);
    let json = serde_json::to_string(&top).unwrap();
    assert_eq!(json, r#"[{"id":"BRK B","views":1}]"#);
    assert_eq!(serde_json::from_str::<Vec<Popular>>(&json).unwrap(), top);
    assert!(serde_json::from_str::<InstrumentId>("\" a\"").is_err());
}
