//! The time to make one response, without the socket: `cargo bench -p benches --bench answer`
//!
//! 50,000 instruments with 30 candles each. The row `ready` is the lower bound: a body in memory.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use candle_core::{Aggregator, RecordContext, Tick, Timestamp, Unlisted};
use candle_http::api::Api;
use candle_http::route::{HistoryOptions, Route};
use candle_http::router::RouteHandler;
use candle_http::server::json;
use candle_server::engine::Engine;
use candle_server::engine::clock::{Clock, ClockMode};
use hyper::header::{ACCEPT_ENCODING, HeaderValue};
use hyper::{HeaderMap, Method};

use benches::common::Pairs;

const INSTRUMENTS: usize = 50_000;
const READS: usize = 20_000;
const ROUNDS: usize = 15;

fn engine() -> Arc<Engine> {
    let engine = Engine::new(Aggregator::default(), Clock::new(ClockMode::Feed));
    let start = Timestamp::from_seconds(1_742_944_020).unwrap_or(Timestamp::EPOCH);
    engine.clock.restart_at(start);
    for minute in 0..30 {
        let now = start.saturating_add(minute * 60_000_000);
        for id in 0..INSTRUMENTS {
            let price = 100.0 + (id as f64 * 7.0 + minute as f64 * 13.0) % 89.0 / 8.0;
            let context =
                RecordContext { unlisted: Unlisted::List, arrival: engine.clock.arrival(), ..RecordContext::from(now) };
            let _ = engine.aggregator.record(&id.to_string(), &Tick::new(now, price), context);
        }
        engine.clock.advance_to(now);
    }
    Arc::new(engine)
}

/// Ids of 50,000 instruments in a Zipf distribution, with the frequent ones scattered over all.
fn zipf() -> Vec<String> {
    let mut sums = Vec::with_capacity(INSTRUMENTS);
    let mut sum = 0.0;
    for n in 1..=INSTRUMENTS {
        sum += 1.0 / n as f64;
        sums.push(sum);
    }
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut id = || sums.partition_point(|up_to| *up_to < next() * sum) * 7919 % INSTRUMENTS;
    (0..READS).map(|_| id().to_string()).collect()
}

fn main() {
    let engine = engine();
    let api = Api::new(Arc::clone(&engine));
    let (none, mut gzip) = (HeaderMap::new(), HeaderMap::new());
    gzip.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let route = |id: &str| Route::History { id: id.to_owned().into(), options: HistoryOptions::default() };
    let hot = vec![route("7919"); READS];
    let zipf: Vec<_> = zipf().iter().map(|id| route(id)).collect();
    let popular = vec![Route::Popular; READS];
    let ready = Bytes::from(vec![b'x'; 5700]);
    let names = ["ready", "hot", "zipf", "first of the minute", "popular", "gzip"];
    let mut pairs = Pairs::new(&names);
    for _ in 0..ROUNDS {
        pairs.round(|name| {
            let (routes, headers) = match name {
                "hot" => (&hot[..], &none),
                "gzip" => (&hot[..READS / 20], &gzip),
                "popular" => (&popular[..], &none),
                _ => (&zipf[..], &none),
            };
            let fresh;
            let api = if name == "first of the minute" {
                fresh = Api::new(Arc::clone(&engine));
                &fresh
            } else {
                &api
            };
            Pairs::clock(routes.len(), || {
                for route in routes {
                    if name == "ready" {
                        drop(black_box(json(ready.clone())));
                    } else {
                        drop(black_box(api.respond(&Method::GET, route, headers)));
                    }
                }
            })
        });
    }
    println!("| answer | ns, median |\n|---|---|");
    names.iter().for_each(|name| println!("| {name} | {:.0} |", pairs.time(name)));
}
