//! The feed report: the body of `GET /feed`, and the values of the feed metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use candle_core::Timestamp;
use serde::{Serialize, Serializer};

use super::failover::Gap;
use super::health::State;

/// The state of all feeds at one moment. Times are epoch seconds on the candles' clock, and ages are seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The state of the active feed.
    pub state: State,
    /// The time of the report.
    #[serde(serialize_with = "epoch_seconds")]
    pub as_of: Timestamp,
    /// The feeds, in order of preference.
    pub feeds: Vec<FeedReport>,
    /// The gaps of the last half hour, oldest first. A gap is a period in which the active feed did not deliver quotes.
    pub gaps: Vec<Gap>,
    /// The number of quotes that were dropped because the previous feed had delivered them.
    pub repeated: u64,
}

/// The state of one feed at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedReport {
    /// The address of the feed, without user info and query.
    pub url: String,
    /// True if the quotes of this feed are recorded.
    pub active: bool,
    /// The state of the feed.
    pub state: State,
    /// The time since the last frame or pong was received. For two sockets, this is the longer time.
    #[serde(serialize_with = "optional_seconds")]
    pub last_message_age: Option<Duration>,
    /// The time since the last accepted quote.
    #[serde(serialize_with = "optional_seconds")]
    pub last_quote_age: Option<Duration>,
    /// The age that the newest quotes had on arrival; null if quotes carry no time.
    #[serde(serialize_with = "optional_seconds")]
    pub lag: Option<Duration>,
    /// The mean number of accepted quotes per second, over the minutes before the last quote.
    #[serde(serialize_with = "three_decimals")]
    pub quotes_per_second: f64,
    /// The silence timeout; null if there is none.
    #[serde(rename = "staleAfter", serialize_with = "optional_seconds")]
    pub silence_timeout: Option<Duration>,
    /// The number of connections that were opened.
    pub connects: u64,
    /// The number of connections that were lost or could not be opened, by reason.
    pub losses: BTreeMap<&'static str, u64>,
}

impl Serialize for Gap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Seconds {
            from: f64,
            to: Option<f64>,
            reason: &'static str,
        }
        Seconds { from: seconds(self.from), to: self.to.map(seconds), reason: self.reason }.serialize(serializer)
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_micros() as f64 / 1e6
}

/// Rounds a value to three decimals, because further decimals are noise.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
fn epoch_seconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(seconds(*at))
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn optional_seconds<S: Serializer>(age: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    age.map(|age| rounded(age.as_secs_f64())).serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
fn three_decimals<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(rounded(*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_written_in_seconds() {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let report = Report {
            state: State::Live,
            as_of: at(1_600_000_001_250_000),
            feeds: vec![FeedReport {
                url: "ws://h/".to_owned(),
                active: true,
                state: State::Live,
                last_message_age: Some(Duration::from_micros(12_345_678)),
                last_quote_age: None,
                lag: Some(Duration::from_micros(999)),
                quotes_per_second: 1.23456,
                silence_timeout: Some(Duration::from_secs(2)),
                connects: 2,
                losses: BTreeMap::from([("closed", 1)]),
            }],
            gaps: vec![Gap { from: at(1_600_000_000_000_000), to: None, reason: "closed" }],
            repeated: 3,
        };
        let json = r#"{"state":"live","asOf":1600000001.25,"feeds":[{"url":"ws://h/","active":true,"state":"live","#
            .to_owned()
            + r#""lastMessageAge":12.346,"lastQuoteAge":null,"lag":0.001,"quotesPerSecond":1.235,"staleAfter":2.0,"#
            + r#""connects":2,"losses":{"closed":1}}],"#
            + r#""gaps":[{"from":1600000000.0,"to":null,"reason":"closed"}],"repeated":3}"#;
        assert_eq!(serde_json::to_string(&report).unwrap(), json);
    }
}
