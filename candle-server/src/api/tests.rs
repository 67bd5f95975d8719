//! What is kept from read to read never shows.

use bytes::Bytes;
use candle_core::{Aggregator, Config, Gaps, RecordContext, Tick, Unlisted};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::header::{self, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::clock::{Clock, ClockMode};
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

fn get(api: &Api, verb: Verb, route: &Route<'_>, headers: &HeaderMap) -> Response<Bytes> {
    let whole = |body: Body| body.collect().now_or_never().unwrap().unwrap().to_bytes();
    api.answer(verb, route, headers).map(whole)
}

fn history(id: &str, gaps: Gaps) -> Route<'_> {
    told(id, gaps, Format::Full)
}

fn told(id: &str, gaps: Gaps, format: Format) -> Route<'_> {
    Route::History { id: id.into(), form: Form { gaps, format } }
}

fn tick(engine: &Engine, id: &str, time: Timestamp, price: f64, now: Timestamp) {
    let context =
        RecordContext { unlisted: Unlisted::List, arrival: engine.clock.arrival(), ..RecordContext::from(now) };
    let _ = engine.aggregator.record(id, &Tick::new(time, price), context);
}

fn with(name: header::HeaderName, value: &HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, value.clone())])
}

/// One thing that can happen between two reads.
#[derive(Clone, Debug)]
enum Event {
    /// A tick so many seconds from `now`, by a writer whose `now` is behind.
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
    /// The feed brings a quote over a new connection.
    Supply,
    /// The feed is lost.
    Loss,
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
        1 => Just(Event::Supply),
        1 => Just(Event::Loss),
    ]
}

fn happen(engine: &Engine, event: &Event) {
    let now = engine.clock.now();
    let later = |seconds: i64| now.saturating_add(seconds * 1_000_000);
    match event {
        Event::Tick { id, seconds, price, behind } => tick(engine, IDS[*id], later(*seconds), *price, later(-behind)),
        Event::Advance { seconds } => engine.clock.advance_to(later(*seconds)),
        Event::Restart { back } => {
            engine.aggregator.clear_candles(0);
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
        Event::Supply => {
            engine.feeds.opened(0, Vec::new(), engine.clock.reading());
            engine.feeds.quoted(1, None, engine.clock.reading());
        }
        Event::Loss => engine.feeds.update(|failover| failover.lost(0, "closed", engine.clock.reading())),
    }
}

/// A history written the obvious way.
fn obvious(engine: &Engine, id: &str, gaps: Gaps) -> Option<Value> {
    let history = engine.aggregator.history(id)?;
    let now = engine.clock.now();
    let seconds = |time: Timestamp| time.as_micros() as f64 / 1e6;
    let candles = history.candles(now, gaps).map(|candle| {
        json!({
            "openTimestamp": seconds(candle.minute.start()), "closeTimestamp": seconds(candle.minute.end()),
            "openPrice": candle.open, "highPrice": candle.high, "lowPrice": candle.low, "closePrice": candle.close,
            "volume": candle.volume, "quotes": candle.count, "state": candle.state.name(), "filled": candle.filled,
            "coverage": engine.feeds.coverage(now).of(candle.minute).name(),
        })
    });
    Some(json!({
        "id": id, "description": history.description.as_deref(), "views": history.views, "asOf": seconds(now),
        "lastQuoteTimestamp": history.last_time().map(seconds),
        "status": engine.status(&Latest::from(&history), history.ring.usual_gap(now)).name(), "candles": candles.collect::<Vec<_>>(),
    }))
}

/// The same for the chart library.
fn obvious_items(engine: &Engine, id: &str, gaps: Gaps) -> Option<Value> {
    let history = engine.aggregator.history(id)?;
    let item = |candle: candle_core::WindowCandle| {
        let time = candle.minute.start().as_micros() as f64 / 1e6;
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

/// Equal but for the spelling of whole numbers.
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
    fn a_kept_history_is_byte_for_byte_a_fresh_one(events in proptest::collection::vec(event(), 1..60)) {
        let engine = engine();
        let keeping = Api::new(Arc::clone(&engine));
        for event in &events {
            happen(&engine, event);
            let fresh = Api::with_room(Arc::clone(&engine), 1);
            let forms = [Format::Full, Format::Lightweight]
                .map(|format| [Gaps::Filled, Gaps::Omitted].map(|gaps| (gaps, format)));
            for (id, (gaps, format)) in IDS.iter().flat_map(|id| forms.iter().flatten().map(move |form| (*id, *form))) {
                let read = |api| get(api, Verb::Head, &told(id, gaps, format), &HeaderMap::new());
                let (kept, written) = (read(&keeping), read(&fresh));
                prop_assert_eq!(kept.status(), written.status());
                prop_assert_eq!(kept.body(), written.body());
                prop_assert_eq!(kept.headers(), written.headers());
                let obvious = match format {
                    Format::Full => obvious(&engine, id, gaps),
                    Format::Lightweight => obvious_items(&engine, id, gaps),
                };
                if let Some(value) = obvious {
                    prop_assert_eq!(in_floats(serde_json::from_slice(kept.body()).unwrap()), in_floats(value));
                } else {
                    prop_assert_eq!(kept.status(), 404);
                }
            }
        }
    }
}

#[test]
fn a_small_cache_keeps_what_is_viewed_more_and_answers_the_same() {
    let engine = engine();
    // The least there is: one set of four places.
    let api = Api::with_room(Arc::clone(&engine), 1);
    let now = engine.clock.now();
    let ids: Vec<String> = (0..6).map(|number| number.to_string()).collect();
    ids.iter().for_each(|id| tick(&engine, id, now, 9.5, now));
    for id in &ids[1..5] {
        engine.aggregator.count_view(id);
    }
    let read = |id: &String| {
        let response = get(&api, Verb::Get, &history(id, Gaps::Filled), &HeaderMap::new());
        let value: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((value["id"].as_str(), &value["candles"][0]["openPrice"]), (Some(id.as_str()), &json!(9.5)));
    };
    let is_kept = |id: &String| api.renderings.get(id, Form::default()).is_some();
    ids.iter().for_each(read);
    assert_eq!(ids.iter().map(is_kept).collect::<Vec<_>>(), [false, true, true, true, true, false]);
    // A minute later the places are anyone's.
    engine.clock.advance_to(at(START + 60));
    read(&ids[0]);
    assert!(is_kept(&ids[0]));
}

#[test]
fn while_one_writes_the_popular_anew_others_get_what_there_is() {
    let engine = engine();
    tick(&engine, "4", at(START), 9.5, at(START));
    let api = Api::new(Arc::clone(&engine));
    assert!(api.fresh_popular(Duration::ZERO).is_none(), "nothing is there yet");
    get(&api, Verb::Get, &Route::Popular, &HeaderMap::new());
    // By its own moment: whoever runs this may have stood still since.
    let later = api.popular.lock().as_ref().unwrap().written + POPULAR_REUSE;
    assert!(api.fresh_popular(later).is_none(), "the first one is to write");
    assert!(api.fresh_popular(later).is_some());
    assert!(api.fresh_popular(later + POPULAR_REUSE / 2).is_some());
    assert!(api.fresh_popular(later + POPULAR_REUSE).is_none());
    assert!(api.fresh_popular(later + POPULAR_REUSE).is_none(), "what is two reuses old is for nobody");
}

#[test]
fn after_an_idle_hour_nobody_gets_the_most_viewed_of_an_hour_ago() {
    let engine = engine();
    let api = Api::new(Arc::clone(&engine));
    get(&api, Verb::Get, &Route::Popular, &HeaderMap::new());
    let later = engine.clock.elapsed() + Duration::from_hours(1);
    assert!(api.fresh_popular(later).is_none());
    assert!(api.fresh_popular(later).is_none());
}

#[test]
fn the_tag_is_of_the_content_and_not_of_the_views_or_the_moment() {
    let [engine, replica] = [engine(), engine()];
    let [api, other] = [&engine, &replica].map(|engine| Api::new(Arc::clone(engine)));
    let tag =
        |api: &Api, id| get(api, Verb::Get, &history(id, Gaps::Filled), &HeaderMap::new()).headers()["etag"].clone();
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
fn a_client_that_has_it_gets_304_and_counts_as_a_view() {
    let engine = engine();
    let api = Api::new(Arc::clone(&engine));
    tick(&engine, "4", at(START), 9.5, at(START));
    let route = history("4", Gaps::Filled);
    let first = get(&api, Verb::Get, &route, &HeaderMap::new());
    let tag = first.headers()[header::ETAG].clone();
    let second = get(&api, Verb::Get, &route, &with(header::IF_NONE_MATCH, &tag));
    assert_eq!((second.status().as_u16(), second.body().len()), (304, 0));
    for name in [header::ETAG, header::CACHE_CONTROL, header::VARY] {
        assert_eq!(second.headers()[&name], first.headers()[&name], "{name}");
    }
    assert_eq!(engine.aggregator.history("4").unwrap().views, 2);
    assert_eq!(get(&api, Verb::Head, &route, &with(header::IF_NONE_MATCH, &tag)).status(), 304);
    assert_eq!(engine.aggregator.history("4").unwrap().views, 2);
    tick(&engine, "4", at(START), 9.75, at(START));
    assert_eq!(get(&api, Verb::Get, &route, &with(header::IF_NONE_MATCH, &tag)).status(), 200);
}

#[test]
fn popular_and_listing_have_tags_that_views_do_not_move() {
    let engine = engine();
    for id in IDS {
        tick(&engine, id, at(START), 9.5, at(START));
    }
    engine.aggregator.count_view(IDS[1]);
    let page = Page { limit: 100, after: None, prefix: "".into() };
    for (route, price) in [(Route::Popular, 9.75), (Route::Listing(page), 10.0)] {
        // A new one each time, as the popular are reused for a moment.
        let read = |headers: &HeaderMap| get(&Api::new(Arc::clone(&engine)), Verb::Get, &route, headers);
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
fn popular_is_ten_histories_most_views_first() {
    let engine = engine();
    for number in 0..12 {
        let id = number.to_string();
        tick(&engine, &id, at(START), 9.5, at(START));
        (0..number % 4).for_each(|_| assert!(engine.aggregator.count_view(&id).is_some()));
    }
    let api = Api::new(Arc::clone(&engine));
    let value: Value = serde_json::from_slice(get(&api, Verb::Get, &Route::Popular, &HeaderMap::new()).body()).unwrap();
    let shown: Vec<_> = value.as_array().unwrap().iter().map(|history| history["id"].as_str().unwrap()).collect();
    assert_eq!(shown, ["11", "3", "7", "10", "2", "6", "1", "5", "9", "0"]);
    assert_eq!(Some(in_floats(value[0].clone())), obvious(&engine, "11", Gaps::Filled).map(in_floats));
}

#[test]
fn popular_stays_ten_when_one_is_delisted_while_it_is_written() {
    let engine = engine();
    for number in 0..12 {
        let id = number.to_string();
        tick(&engine, &id, at(START), 9.5, at(START));
        (0..=number).for_each(|_| assert!(engine.aggregator.count_view(&id).is_some()));
    }
    let api = Api::new(Arc::clone(&engine));
    let mut top = Vec::new();
    engine.aggregator.top(POPULAR + STAND_BY, &mut top);
    engine.aggregator.delist("7");
    let value: Value = serde_json::from_slice(&api.write_first(&top).into_body()).unwrap();
    let shown: Vec<_> = value.as_array().unwrap().iter().map(|history| history["id"].as_str().unwrap()).collect();
    assert_eq!(shown, ["11", "10", "9", "8", "6", "5", "4", "3", "2", "1"]);
}

#[test]
fn a_client_that_reads_gzip_gets_the_same_bytes_compressed() {
    let engine = engine();
    let api = Api::new(Arc::clone(&engine));
    for minute in 0..30 {
        tick(&engine, "4", at(START - 60 * minute), 9.5 + minute as f64 / 7.0, at(START));
    }
    let route = history("4", Gaps::Filled);
    let plain = get(&api, Verb::Head, &route, &HeaderMap::new());
    let packed = get(&api, Verb::Head, &route, &with(header::ACCEPT_ENCODING, &HeaderValue::from_static("gzip")));
    assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(packed.headers()[header::ETAG], plain.headers()[header::ETAG]);
    assert!(packed.body().len() * 3 < plain.body().len());
    let mut text = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(&packed.body()[..]), &mut text).unwrap();
    assert_eq!(text, plain.body()[..]);
}
