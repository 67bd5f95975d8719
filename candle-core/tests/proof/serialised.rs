//! The serialised forms of what is read.

use candle_core::{
    Aggregator, Gaps, History, InstrumentId, Interval, Popular, Ring, Summary, Tick, Timestamp, WindowCandle, timestamp,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ticks::{Steps, steps_and_limits};

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

proptest! {
    #[test]
    fn rings_and_their_windows_survive((Steps { steps, .. }, limits) in steps_and_limits(1..60)) {
        let mut ring = limits.ring();
        for step in &steps {
            let _ = ring.record(&step.tick, &limits.rules().at(step.now));
        }
        let json = serde_json::to_string(&ring).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Ring>(&json).unwrap(), &ring);
        let bytes = postcard::to_allocvec(&ring).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<Ring>(&bytes).unwrap(), &ring);
        let window: Vec<_> = ring.candles(steps[0].now, Gaps::Filled).collect();
        let json = serde_json::to_string(&window).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Vec<WindowCandle>>(&json).unwrap(), &window);
    }
}

#[test]
fn a_history_is_written_with_plain_names() {
    let aggregator = Aggregator::default();
    aggregator.list("BTC", Some("Bitcoin")).unwrap();
    let now = Timestamp::from_seconds(60).unwrap();
    let _ = aggregator.record("BTC", &Tick::new(now, 9.5).with_size(-2.0), now);
    let history = aggregator.history("BTC").unwrap();
    let candle =
        r#""open":9.5,"high":9.5,"low":9.5,"close":9.5,"volume":2.0,"buy_volume":0.0,"quote_volume":19.0,"count":1"#;
    let json = serde_json::to_string(&history).unwrap();
    let ring = format!(
        r#"{{"interval":60,"window":30,"candles":[{{"open_time":60000000,{candle},"revised":false,"first":0,"last":0}}]}}"#
    );
    assert_eq!(json, format!(r#"{{"description":"Bitcoin","views":0,"ring":{ring}}}"#));
    let read: History = serde_json::from_str(&json).unwrap();
    assert_eq!((&read.ring, read.views, read.last_arrival), (&history.ring, 0, None));
    let visible = serde_json::to_string(&history.candles(now, Gaps::Filled).next().unwrap()).unwrap();
    let times = r#""open_time":60000000,"close_time":120000000"#;
    assert_eq!(visible, format!(r#"{{{times},{candle},"state":"forming","filled":false}}"#));
    // A candle of another interval does not fit.
    let other = json.replace("\"interval\":60", "\"interval\":86400");
    assert!(serde_json::from_str::<History>(&other).is_err());
    assert!(Interval::seconds(86_400).is_ok());
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
