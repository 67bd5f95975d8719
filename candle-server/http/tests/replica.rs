//! Tests the responses of a replica while it applies a message of the replicated log.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Aggregator, Config, CoverageRing, RecordContext, Tick, Timestamp};
use candle_engine::Engine;
use candle_engine::clock::{Clock, ClockMode};
use candle_engine::feeds::Feeds;
use candle_http::api::Api;
use candle_http::route::{HistoryOptions, Route};
use candle_http::router::RouteHandler;
use http_body_util::BodyExt as _;
use hyper::{HeaderMap, Method};

/// The number of messages. Their times are 100 ms apart.
const MESSAGES: i64 = 150;

/// Returns an engine with a fixed seed, so that its state depends only on the applied messages.
fn replica() -> Arc<Engine> {
    let aggregator = Aggregator::new(Config::default().with_seed(7));
    aggregator.list("a", None).unwrap();
    let feeds = Feeds::unmonitored(ClockMode::Feed).with_log_coverage();
    let engine = Engine::new(aggregator, Clock::new(ClockMode::Feed)).with_feeds(feeds);
    engine.clock.restart_at(Timestamp::from_seconds(999_999).unwrap());
    Arc::new(engine)
}

/// Applies one message with many ticks in four runs. Readers wait until the whole message is applied.
fn apply(engine: &Engine, message: i64) {
    let now = Timestamp::from_seconds(1_000_000).unwrap().saturating_add(100_000 * message);
    let _applying = engine.begin_apply();
    for run in 0..4 {
        let ticks = (0..500_i32).map(|index| {
            let index = 500 * run + index;
            ("a", Tick::new(now.saturating_add(-i64::from(index)), f64::from(1 + (index * 7919) % 1000)))
        });
        let ticks: Vec<_> = ticks.collect();
        let _ = engine.aggregator.record_batch(&ticks, RecordContext::from(now));
    }
    engine.feeds.set_log_coverage(CoverageRing::default(), true);
    engine.clock.advance_to(now);
}

/// Returns `asOf` and the candles of one response.
async fn read(api: &Api) -> Option<(String, String)> {
    let route = Route::History { id: "a".into(), options: HistoryOptions::default() };
    let response = api.respond(&Method::GET, &route, &HeaderMap::new());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let (head, candles) = text.split_once("\"candles\":")?;
    let as_of = head.split_once("\"asOf\":")?.1.split_once(',')?.0;
    Some((as_of.to_owned(), candles.to_owned()))
}

/// Applies all messages while another thread reads. Returns all responses, grouped by `asOf`.
fn read_while_applied(engine: &Arc<Engine>) -> BTreeMap<String, BTreeSet<String>> {
    let reads = AtomicUsize::new(0);
    let apply_all = || {
        for message in 0..MESSAGES {
            apply(engine, message);
            let enough = reads.load(Ordering::Relaxed) + 3;
            while reads.load(Ordering::Relaxed) < enough {
                std::thread::yield_now();
            }
        }
    };
    std::thread::scope(|scope| {
        let applying = scope.spawn(apply_all);
        let api = Api::new(Arc::clone(engine));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut responses = BTreeMap::<_, BTreeSet<_>>::new();
        while !applying.is_finished() {
            reads.fetch_add(1, Ordering::Relaxed);
            let Some((as_of, candles)) = runtime.block_on(read(&api)) else { continue };
            responses.entry(as_of).or_default().insert(candles);
        }
        responses
    })
}

#[test]
fn equal_times_mean_equal_responses_on_every_replica_while_messages_are_applied() {
    let engines = [replica(), replica()];
    let [one, other] = std::thread::scope(|scope| {
        let readers = engines.each_ref().map(|engine| scope.spawn(move || read_while_applied(engine)));
        readers.map(|reader| reader.join().unwrap())
    });
    let common: Vec<_> = one.iter().filter_map(|(as_of, candles)| Some((candles, other.get(as_of)?))).collect();
    assert!(common.len() > 100, "both replicas were read at only {} equal times", common.len());
    assert!(one.values().chain(other.values()).all(|candles| candles.len() == 1), "one time has two responses");
    assert!(common.iter().all(|(one, other)| one == other), "two replicas differ at one time");
}
