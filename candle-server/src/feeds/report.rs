//! The form in which what is known of the feeds is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use candle_core::Timestamp;
use serde::Serialize;

/// What `GET /feed` answers. Times are epoch seconds on the candles' clock; ages are seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How the active feed is doing.
    pub state: &'static str,
    /// `now` on the candles' clock.
    pub as_of: f64,
    /// Every feed, in the order of preference.
    pub feeds: Vec<FeedReport>,
    /// The times of the last half hour in which no feed brought what it should, oldest first.
    pub gaps: Vec<GapReport>,
    /// Quotes that came again from another feed, by their sequence numbers, and were left out.
    pub repeated: u64,
}

/// One feed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedReport {
    /// Its address, without user info and query.
    pub url: String,
    /// Whether its quotes become candles.
    pub active: bool,
    /// How it is doing.
    pub state: &'static str,
    /// How long ago anything was heard of it, a pong too; of two sockets, the quieter one.
    pub last_message_age: Option<f64>,
    /// How long ago its last accepted quote came.
    pub last_quote_age: Option<f64>,
    /// How old its freshest quotes are when they arrive; null where quotes tell no time.
    pub lag: Option<f64>,
    /// The mean of the last minutes up to its last quote.
    pub quotes_per_second: f64,
    /// For how long it may bring no quote before it is silent; null where that is no limit.
    pub stale_after: Option<f64>,
    /// How often it was connected.
    pub connects: u64,
    /// How often a connection was lost or did not come to be, by reason.
    pub losses: BTreeMap<&'static str, u64>,
}

/// A time without supply.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GapReport {
    /// When it began.
    pub from: f64,
    /// When it ended; null while it lasts.
    pub to: Option<f64>,
    /// Why: a lost connection's reason, or a state.
    pub reason: &'static str,
}

pub(super) fn timestamp(at: Timestamp) -> f64 {
    at.as_micros() as f64 / 1e6
}

/// To the millisecond: more would be noise.
pub(super) fn seconds(age: Duration) -> f64 {
    (age.as_secs_f64() * 1e3).round() / 1e3
}
