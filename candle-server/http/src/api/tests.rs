//! Tests that responses do not depend on the content of a cache.

use std::time::Duration;

use bytes::Bytes;
use candle_core::{Aggregator, Config, Gaps, RecordContext, Tick, Unlisted};
use candle_engine::clock::{Clock, ClockMode};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::header::{self, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::route::Format;

const IDS: [&str; 3] = ["4", "BTC/USD", "\"\\é"];
const START: i64 = 1_629_648_467;

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second).unwrap()
}

fn engine() -> Arc<Engine> {
    let engine = Engine::new(Aggregator::new(Config::default()), Clock::new(ClockMode::Feed));
    engine.clock.restart_at(at(START));
    Arc::new(engine)
}

fn respond(api: &Api, method: &Method, route: &Route<'_>, headers: &HeaderMap) -> Response<Bytes> {
    let whole = |body: Body| body.collect().now_or_never().unwrap().unwrap().to_bytes();
    api.respond(method, route, headers).map(whole)
}

fn get(api: &Api, route: &Route<'_>, headers: &HeaderMap) -> Response<Bytes> {
    respond(api, &Method::GET, route, headers)
}

fn head(api: &Api, route: &Route<'_>, headers: &HeaderMap) -> Response<Bytes> {
    respond(api, &Method::HEAD, route, headers)
}

fn history(id: &str, gaps: Gaps) -> Route<'_> {
    history_in(id, gaps, Format::Full)
}

fn history_in(id: &str, gaps: Gaps, format: Format) -> Route<'_> {
    Route::History { id: id.into(), options: HistoryOptions { gaps, format } }
}

fn tick(engine: &Engine, id: &str, time: Timestamp, price: f64, now: Timestamp) {
    let context =
        RecordContext { unlisted: Unlisted::List, arrival: engine.clock.arrival(), ..RecordContext::from(now) };
    let _ = engine.aggregator.record(id, &Tick::new(time, price), context);
}

fn with(name: header::HeaderName, value: &HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, value.clone())])
}

/// An event between two reads.
#[derive(Clone, Debug)]
enum Event {
    /// Records a tick some seconds after `now`, with a `now` that is `behind` the clock.
    Tick {
        id: usize,
        seconds: i64,
        price: f64,
        behind: i64,
    },
    Advance {
        seconds: i64,
    },
    Restart {
        back: i64,
    },
    List {
        id: usize,
        description: Option<String>,
    },
    Delist {
        id: usize,
    },
    View {
        id: usize,
    },
    /// Connects the feed and sends a quote.
    FeedUp,
    /// Disconnects the feed.
    FeedDown,
}

fn event() -> impl Strategy<Value = Event> {
    let id = || 0..IDS.len();
    prop_oneof![
        8 => (id(), -90_i64..=5, 1_u32..400, prop_oneof![Just(0), 0_i64..70])
            .prop_map(|(id, seconds, price, behind)| Event::Tick { id, seconds, price: f64::from(price) / 8.0, behind }),
        3 => (id(), -2400_i64..0, 1_u32..400)
            .prop_map(|(id, seconds, price)| Event::Tick { id, seconds, price: f64::from(price), behind: 0 }),
        3 => prop_oneof![1_i64..5, 1_i64..70, 600_i64..4000].prop_map(|seconds| Event::Advance { seconds }),
        1 => (5_i64..4000).prop_map(|back| Event::Restart { back }),
        1 => (id(), proptest::option::of("[a-c\"]{0,2}")).prop_map(|(id, description)| Event::List { id, description }),
        1 => id().prop_map(|id| Event::Delist { id }),
        2 => id().prop_map(|id| Event::View { id }),
        1 => Just(Event::FeedUp),
        1 => Just(Event::FeedDown),
    ]
}

fn run(engine: &Engine, event: &Event) {
    let now = engine.clock.now();
    let later = |seconds: i64| now.saturating_add(seconds * 1_000_000);
    match event {
        Event::Tick { id, seconds, price, behind } => tick(engine, IDS[*id], later(*seconds), *price, later(-behind)),
        Event::Advance { seconds } => engine.clock.advance_to(later(*seconds)),
        Event::Restart { back } => {
            engine.aggregator.clear_candles();
            engine.clock.restart_at(later(-back));
        }
        Event::List { id, description } => {
            engine.aggregator.list(IDS[*id], description.as_deref()).unwrap();
        }
        Event::Delist { id } => {
            engine.aggregator.delist(IDS[*id]);
        }
        Event::View { id } => {
            engine.aggregator.count_view(IDS[*id]);
        }
        Event::FeedUp => {
            engine.feeds.opened(0, Vec::new(), engine.clock.reading());
            engine.feeds.quoted(1, None, engine.clock.reading());
        }
        Event::FeedDown => engine.feeds.update(|failover| failover.lost(0, "closed", engine.clock.reading())),
    }
}

/// Returns the history that a simple implementation writes.
fn expected(engine: &Engine, id: &str, gaps: Gaps) -> Option<Value> {
    let history = engine.aggregator.history(id)?;
    let now = engine.clock.now();
    let seconds = |time: Timestamp| time.as_micros() as f64 / 1e6;
    let candles = history.candles(now, gaps).map(|candle| {
        json!({
            "openTimestamp": seconds(candle.open_time), "closeTimestamp": seconds(candle.close_time),
            "openPrice": candle.open, "highPrice": candle.high, "lowPrice": candle.low, "closePrice": candle.close,
            "volume": candle.volume, "quotes": candle.count, "state": candle.state.name(), "filled": candle.filled,
            "coverage": engine.feeds.coverage(now).of(candle.open_time.minute()).name(),
        })
    });
    Some(json!({
        "id": id, "description": history.description.as_deref(), "views": history.views, "asOf": seconds(now),
        "lastQuoteTimestamp": history.last_time().map(seconds),
        "status": engine.status(&Latest::from(&history), history.ring.usual_gap(now)).name(), "candles": candles.collect::<Vec<_>>(),
    }))
}

/// Returns the lightweight history that a simple implementation writes.
fn expected_items(engine: &Engine, id: &str, gaps: Gaps) -> Option<Value> {
    let history = engine.aggregator.history(id)?;
    let item = |candle: candle_core::WindowCandle| {
        let time = candle.open_time.as_micros() as f64 / 1e6;
        if candle.filled && gaps == Gaps::Omitted {
            return json!({ "time": time });
        }
        json!({
            "time": time, "open": candle.open, "high": candle.high, "low": candle.low, "close": candle.close,
            "volume": candle.volume,
        })
    };
    Some(history.candles(engine.clock.now(), Gaps::Filled).map(item).collect())
}

/// Converts all numbers to floats, so that `1` equals `1.0`.
fn in_floats(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(in_floats).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, in_floats(value))).collect(),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_cached_history_equals_a_fresh_one_byte_for_byte(events in proptest::collection::vec(event(), 1..60)) {
        let engine = engine();
        let caching = Api::new(Arc::clone(&engine));
        for event in &events {
            run(&engine, event);
            let fresh = Api::with_cache_capacity(Arc::clone(&engine), 1);
            let forms = [Format::Full, Format::Lightweight]
                .map(|format| [Gaps::Filled, Gaps::Omitted].map(|gaps| (gaps, format)));
            for (id, (gaps, format)) in IDS.iter().flat_map(|id| forms.iter().flatten().map(move |form| (*id, *form))) {
                let read = |api| head(api, &history_in(id, gaps, format), &HeaderMap::new());
                let (cached, written) = (read(&caching), read(&fresh));
                prop_assert_eq!(cached.status(), written.status());
                prop_assert_eq!(cached.body(), written.body());
                prop_assert_eq!(cached.headers(), written.headers());
                let expected = match format {
                    Format::Full => expected(&engine, id, gaps),
                    Format::Lightweight => expected_items(&engine, id, gaps),
                };
                if let Some(value) = expected {
                    prop_assert_eq!(in_floats(serde_json::from_slice(cached.body()).unwrap()), in_floats(value));
                } else {
                    prop_assert_eq!(cached.status(), 404);
                }
            }
        }
    }
}

#[test]
fn the_most_viewed_histories_stay_in_a_full_cache_and_no_response_changes() {
    let engine = engine();
    // The capacity 1 creates the smallest cache: one set with four entries.
    let api = Api::with_cache_capacity(Arc::clone(&engine), 1);
    let now = engine.clock.now();
    let ids: Vec<String> = (0..6).map(|number| number.to_string()).collect();
    ids.iter().for_each(|id| tick(&engine, id, now, 9.5, now));
    for id in &ids[1..5] {
        engine.aggregator.count_view(id);
    }
    let read = |id: &String| {
        let response = get(&api, &history(id, Gaps::Filled), &HeaderMap::new());
        let value: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((value["id"].as_str(), &value["candles"][0]["openPrice"]), (Some(id.as_str()), &json!(9.5)));
    };
    let is_cached = |id: &String| api.histories.get(id, HistoryOptions::default()).is_some();
    ids.iter().for_each(read);
    assert_eq!(ids.iter().map(is_cached).collect::<Vec<_>>(), [false, true, true, true, true, false]);
    // In the next minute, an insertion can replace any of the entries.
    engine.clock.advance_to(at(START + 60));
    read(&ids[0]);
    assert!(is_cached(&ids[0]));
}

#[test]
fn a_popular_response_is_not_reused_after_an_hour() {
    let engine = engine();
    let api = Api::new(Arc::clone(&engine));
    get(&api, &Route::Popular, &HeaderMap::new());
    assert!(api.popular.get(Duration::ZERO).is_some());
    let later = engine.clock.elapsed() + Duration::from_hours(1);
    assert!(api.popular.get(later).is_none());
    assert!(api.popular.get(later).is_none());
}

#[test]
fn the_etag_depends_on_the_content_and_not_on_the_views_or_the_time() {
    let [engine, replica] = [engine(), engine()];
    let [api, other] = [&engine, &replica].map(|engine| Api::new(Arc::clone(engine)));
    let tag = |api: &Api, id| get(api, &history(id, Gaps::Filled), &HeaderMap::new()).headers()["etag"].clone();
    for engine in [&engine, &replica] {
        tick(engine, "4", at(START), 9.5, at(START));
        tick(engine, "4", at(START - 60), 9.25, at(START));
    }
    let first = tag(&api, "4");
    engine.clock.advance_to(at(START + 10));
    assert_eq!([tag(&api, "4"), tag(&other, "4")], [first.clone(), first.clone()]);
    tick(&engine, "4", at(START), 9.5, at(START));
    let after_forming = tag(&api, "4");
    assert_ne!(after_forming, first);
    tick(&engine, "4", at(START - 59), 9.5, at(START));
    let after_late = tag(&api, "4");
    assert_ne!(after_late, after_forming);
    engine.aggregator.list("4", Some("Four")).unwrap();
    let after_description = tag(&api, "4");
    assert_ne!(after_description, after_late);
    engine.clock.advance_to(at(START + 60));
    assert_ne!(tag(&api, "4"), after_description);
}

#[test]
fn a_304_counts_a_view() {
    let engine = engine();
    let api = Api::new(Arc::clone(&engine));
    tick(&engine, "4", at(START), 9.5, at(START));
    let route = history("4", Gaps::Filled);
    let first = get(&api, &route, &HeaderMap::new());
    let tag = first.headers()[header::ETAG].clone();
    let second = get(&api, &route, &with(header::IF_NONE_MATCH, &tag));
    assert_eq!((second.status().as_u16(), second.body().len()), (304, 0));
    for name in [header::ETAG, header::CACHE_CONTROL, header::VARY] {
        assert_eq!(second.headers()[&name], first.headers()[&name], "{name}");
    }
    assert_eq!(engine.aggregator.history("4").unwrap().views, 2);
    assert_eq!(head(&api, &route, &with(header::IF_NONE_MATCH, &tag)).status(), 304);
    assert_eq!(engine.aggregator.history("4").unwrap().views, 2);
    tick(&engine, "4", at(START), 9.75, at(START));
    assert_eq!(get(&api, &route, &with(header::IF_NONE_MATCH, &tag)).status(), 200);
}

#[test]
fn views_do_not_change_the_etag_of_popular_and_listing() {
    let engine = engine();
    for id in IDS {
        tick(&engine, id, at(START), 9.5, at(START));
    }
    engine.aggregator.count_view(IDS[1]);
    let page = ListingQuery { limit: 100, after: None, prefix: "".into() };
    for (route, price) in [(Route::Popular, 9.75), (Route::Listing(page), 10.0)] {
        // Each read uses a new instance, because an instance reuses its popular response for 100 ms.
        let read = |headers: &HeaderMap| get(&Api::new(Arc::clone(&engine)), &route, headers);
        let before = read(&HeaderMap::new());
        engine.aggregator.count_view(IDS[1]);
        let after = read(&HeaderMap::new());
        assert_ne!(before.body(), after.body());
        assert_eq!(before.headers()[header::ETAG], after.headers()[header::ETAG]);
        assert_eq!(read(&with(header::IF_NONE_MATCH, &before.headers()[header::ETAG])).status(), 304);
        tick(&engine, IDS[1], at(START), price, at(START));
        assert_ne!(read(&HeaderMap::new()).headers()[header::ETAG], after.headers()[header::ETAG]);
    }
}

#[test]
fn popular_has_ten_histories_ordered_by_views() {
    let engine = engine();
    for number in 0..12 {
        let id = number.to_string();
        tick(&engine, &id, at(START), 9.5, at(START));
        (0..number % 4).for_each(|_| assert!(engine.aggregator.count_view(&id).is_some()));
    }
    let api = Api::new(Arc::clone(&engine));
    let value: Value = serde_json::from_slice(get(&api, &Route::Popular, &HeaderMap::new()).body()).unwrap();
    let shown: Vec<_> = value.as_array().unwrap().iter().map(|history| history["id"].as_str().unwrap()).collect();
    assert_eq!(shown, ["11", "3", "7", "10", "2", "6", "1", "5", "9", "0"]);
    assert_eq!(Some(in_floats(value[0].clone())), expected(&engine, "11", Gaps::Filled).map(in_floats));
}

#[test]
fn popular_has_ten_histories_even_if_one_is_delisted_during_the_read() {
    let engine = engine();
    for number in 0..12 {
        let id = number.to_string();
        tick(&engine, &id, at(START), 9.5, at(START));
        (0..=number).for_each(|_| assert!(engine.aggregator.count_view(&id).is_some()));
    }
    let api = Api::new(Arc::clone(&engine));
    let mut top = Vec::new();
    engine.aggregator.top_into(POPULAR + CANDIDATES, &mut top);
    engine.aggregator.delist("7");
    let value: Value = serde_json::from_slice(&api.read_first(&top).into_vec()).unwrap();
    let shown: Vec<_> = value.as_array().unwrap().iter().map(|history| history["id"].as_str().unwrap()).collect();
    assert_eq!(shown, ["11", "10", "9", "8", "6", "5", "4", "3", "2", "1"]);
}

#[test]
fn a_client_that_accepts_gzip_gets_the_same_bytes_compressed() {
    let engine = engine();
    let api = Api::new(Arc::clone(&engine));
    for minute in 0..30 {
        tick(&engine, "4", at(START - 60 * minute), 9.5 + minute as f64 / 7.0, at(START));
    }
    let route = history("4", Gaps::Filled);
    let plain = head(&api, &route, &HeaderMap::new());
    let packed = head(&api, &route, &with(header::ACCEPT_ENCODING, &HeaderValue::from_static("gzip")));
    assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(packed.headers()[header::ETAG], plain.headers()[header::ETAG]);
    assert!(packed.body().len() * 3 < plain.body().len());
    let mut text = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(&packed.body()[..]), &mut text).unwrap();
    assert_eq!(text, plain.body()[..]);
}
