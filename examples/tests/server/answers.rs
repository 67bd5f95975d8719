//! One history, the start, and the refusals.

use candle_core::{Tick, Timestamp};
use serde_json::{Value, json};

use crate::site::{Site, forming};

const START: &str = "\"Aggregator thread is started...\"";

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second).unwrap()
}

/// A server whose instrument `4` was quoted at these seconds and prices; its clock stands at the last.
async fn quoted(quotes: &[(i64, f64)]) -> Site {
    let site = Site::without_feed().await;
    site.engine.aggregator.list("4", None).unwrap();
    site.engine.clock.restart_at(at(0));
    for (second, price) in quotes {
        site.engine.clock.advance_to(at(*second));
        let context = candle_core::RecordContext { arrival: site.engine.clock.arrival(), ..at(*second).into() };
        assert!(site.engine.aggregator.record("4", &Tick::new(at(*second), *price), context).is_accepted());
    }
    site
}

fn field(history: &Value, name: &str) -> Vec<Value> {
    history["candles"].as_array().unwrap().iter().map(|candle| candle[name].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_without_quotes_is_filled_or_left_out() {
    let site = quoted(&[(605, 10.0), (650, 12.0), (790, 9.0)]).await;
    let filled = site.history("4").await;
    assert_eq!(field(&filled, "openTimestamp"), [json!(600), json!(660), json!(720), json!(780)]);
    assert_eq!(field(&filled, "filled"), [json!(false), json!(true), json!(true), json!(false)]);
    assert_eq!(field(&filled, "state"), [json!("final"), json!("final"), json!("final"), json!("forming")]);
    let quiet = &filled["candles"][1];
    for name in ["openPrice", "highPrice", "lowPrice", "closePrice"] {
        assert_eq!(quiet[name], 12);
    }
    assert_eq!((&quiet["quotes"], &quiet["volume"], &quiet["closeTimestamp"]), (&json!(0), &json!(0), &json!(720)));

    let omitted = site.history("4?fill=none").await;
    assert_eq!(field(&omitted, "openTimestamp"), [json!(600), json!(780)]);
    assert_eq!(field(&omitted, "openPrice"), [json!(10), json!(9)]);
    site.engine.clock.advance_to(at(850));
    assert_eq!(field(&site.history("4?fill=none").await, "state"), [json!("final"), json!("final")]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instrument_idle_for_longer_than_the_window_has_thirty_fillers() {
    let site = quoted(&[(605, 10.0)]).await;
    site.engine.clock.advance_to(at(600 + 29 * 60));
    let full = site.history("4").await;
    assert_eq!((field(&full, "filled")[0].clone(), field(&full, "filled").len()), (json!(false), 30));
    site.engine.clock.advance_to(at(600 + 90 * 60));
    let idle = site.history("4").await;
    assert_eq!(field(&idle, "filled"), vec![json!(true); 30]);
    assert_eq!(forming(&idle), [10.0; 4]);
    assert_eq!((&idle["lastQuoteTimestamp"], &idle["asOf"]), (&json!(605), &json!(6000)));
    assert_eq!(site.history("4?fill=none").await["candles"], json!([]));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instrument_never_quoted_says_so() {
    let site = quoted(&[]).await;
    let history = site.history("4").await;
    assert_eq!((&history["status"], &history["candles"]), (&json!("never"), &json!([])));
    assert_eq!(history["lastQuoteTimestamp"], Value::Null);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_percent_decoded_after_the_path_is_split() {
    let site = Site::without_feed().await;
    for id in ["BTC/USD", "a+b", "100%", "é", "instruments", ".."] {
        site.engine.aggregator.list(id, None).unwrap();
    }
    let asked =
        [("BTC%2FUSD", "BTC/USD"), ("BTC%2fUSD", "BTC/USD"), ("a+b", "a+b"), ("a%2Bb", "a+b"), ("100%25", "100%")];
    for (path, id) in asked.into_iter().chain([("%C3%A9", "é"), ("%69nstruments", "instruments"), ("..", "..")]) {
        assert_eq!(site.history(path).await["id"], id, "{path}");
    }
    site.get("/instruments/BTC/USD").await.is_problem(404, "unknown-path");
    site.get("/instruments/BTC%252FUSD").await.is_problem(404, "unknown-instrument");
    for bad in ["%", "%4", "%zz", "%FF", "a%20b", "%00", &"x".repeat(65)] {
        site.get(&format!("/instruments/{bad}")).await.is_problem(400, "bad-id");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_answered_is_a_problem_document() {
    let site = quoted(&[]).await;
    site.get("/instruments/5").await.is_problem(404, "unknown-instrument");
    for path in
        ["/nowhere", "/instruments/", "/instruments/4/", "//instruments", "/Instruments", "/instruments/4/candles"]
    {
        site.get(path).await.is_problem(404, "unknown-path");
    }
    for query in ["fill=", "fill=all", "fill=none&fill=none", "fill"] {
        site.get(&format!("/instruments/4?{query}")).await.is_problem(400, "bad-query");
    }
    assert_eq!(site.get("/instruments/4?Fill=all&x=1&x=2").await.status, 200, "unknown parameters are ignored");
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let refused =
            site.ask(&format!("{method} /instruments/4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        refused.is_problem(405, "method-not-allowed");
        assert_eq!(refused.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_the_head_of_its_get_and_no_body() {
    let site = quoted(&[(605, 10.0)]).await;
    // The start comes last: from then on the answers change.
    for path in ["/instruments", "/instruments/popular", "/instruments/5", "/"] {
        let (head, get) = (site.head(path).await, site.get(path).await);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert!(!get.body.is_empty());
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_before_a_get_of_the_root_where_the_start_is_manual() {
    let feed = format!("file:{}/data/trades-2025-03-25.ndjson", env!("CARGO_MANIFEST_DIR"));
    let site = Site::start(&["--start", "manual", "--feed", &feed]).await;
    for _ in 0..50 {
        assert_eq!(site.head("/").await.status, 200);
        let options = site.ask("OPTIONS / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert_eq!(options.status, 204);
        assert_eq!(site.listed().await, [""; 0]);
    }
    assert_eq!(site.received(), 0);
    for _ in 0..2 {
        let started = site.get("/").await;
        assert_eq!((started.status, started.body.as_str()), (200, START));
        assert_eq!(started.header("content-type"), Some("application/json"));
        assert_eq!(started.header("cache-control"), Some("no-store"));
        site.wait_accepted(11_032).await;
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_told_to_start_by_hand_stops_without_having_started() {
    let site = Site::without_feed().await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_runs_without_being_asked_and_its_chart_is_contiguous() {
    let site = Site::start(&["--feed", "demo:?speed=100000&rate=10000/s&seed=1"]).await;
    site.wait_status("4", 200).await;
    let site = &site;
    crate::site::eventually("a full chart", async || {
        site.history("4").await["candles"].as_array().unwrap().len() == 30
    })
    .await;
    let history = site.history("4").await;
    let starts: Vec<i64> = field(&history, "openTimestamp").iter().map(|start| start.as_i64().unwrap()).collect();
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 60), "{starts:?}");
    let states = field(&history, "state");
    assert_eq!(states.iter().position(|state| state == "forming"), Some(29), "exactly one is forming, the last");
    assert_eq!(site.listed().await.len(), 10);
}
