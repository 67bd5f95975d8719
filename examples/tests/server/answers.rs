//! Single histories, the start of the aggregator, and problem documents.

use candle_core::{Tick, Timestamp};
use serde_json::{Value, json};

use crate::test_server::{TestServer, forming};

const START: &str = "\"Aggregator thread is started...\"";

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second).unwrap()
}

/// Starts a server whose instrument `4` has quotes at these seconds and prices. Its clock shows the last second.
async fn quoted(quotes: &[(i64, f64)]) -> TestServer {
    let server = TestServer::without_feed().await;
    server.engine.aggregator.list("4", None).unwrap();
    server.engine.clock.restart_at(at(0));
    for (second, price) in quotes {
        server.engine.clock.advance_to(at(*second));
        let context = candle_core::RecordContext { arrival: server.engine.clock.arrival(), ..at(*second).into() };
        assert!(server.engine.aggregator.record("4", &Tick::new(at(*second), *price), context).is_accepted());
    }
    server
}

fn field(history: &Value, name: &str) -> Vec<Value> {
    history["candles"].as_array().unwrap().iter().map(|candle| candle[name].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_without_quotes_is_filled_or_omitted() {
    let server = quoted(&[(605, 10.0), (650, 12.0), (790, 9.0)]).await;
    let filled = server.history("4").await;
    assert_eq!(field(&filled, "openTimestamp"), [json!(600), json!(660), json!(720), json!(780)]);
    assert_eq!(field(&filled, "filled"), [json!(false), json!(true), json!(true), json!(false)]);
    assert_eq!(field(&filled, "state"), [json!("final"), json!("final"), json!("final"), json!("forming")]);
    let quiet_minute = &filled["candles"][1];
    for name in ["openPrice", "highPrice", "lowPrice", "closePrice"] {
        assert_eq!(quiet_minute[name], 12);
    }
    assert_eq!(
        (&quiet_minute["quotes"], &quiet_minute["volume"], &quiet_minute["closeTimestamp"]),
        (&json!(0), &json!(0), &json!(720))
    );

    let omitted = server.history("4?fill=none").await;
    assert_eq!(field(&omitted, "openTimestamp"), [json!(600), json!(780)]);
    assert_eq!(field(&omitted, "openPrice"), [json!(10), json!(9)]);
    server.engine.clock.advance_to(at(850));
    assert_eq!(field(&server.history("4?fill=none").await, "state"), [json!("final"), json!("final")]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instrument_idle_for_longer_than_the_window_has_thirty_filled_candles() {
    let server = quoted(&[(605, 10.0)]).await;
    server.engine.clock.advance_to(at(600 + 29 * 60));
    let full = server.history("4").await;
    assert_eq!((field(&full, "filled")[0].clone(), field(&full, "filled").len()), (json!(false), 30));
    server.engine.clock.advance_to(at(600 + 90 * 60));
    let idle = server.history("4").await;
    assert_eq!(field(&idle, "filled"), vec![json!(true); 30]);
    assert_eq!(forming(&idle), [10.0; 4]);
    assert_eq!((&idle["lastQuoteTimestamp"], &idle["asOf"]), (&json!(605), &json!(6000)));
    assert_eq!(server.history("4?fill=none").await["candles"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instrument_without_quotes_has_the_status_never() {
    let server = quoted(&[]).await;
    let history = server.history("4").await;
    assert_eq!((&history["status"], &history["candles"]), (&json!("never"), &json!([])));
    assert_eq!(history["lastQuoteTimestamp"], Value::Null);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_percent_decoded_after_the_path_is_split() {
    let server = TestServer::without_feed().await;
    for id in ["BTC/USD", "a+b", "100%", "é", "instruments", ".."] {
        server.engine.aggregator.list(id, None).unwrap();
    }
    let paths =
        [("BTC%2FUSD", "BTC/USD"), ("BTC%2fUSD", "BTC/USD"), ("a+b", "a+b"), ("a%2Bb", "a+b"), ("100%25", "100%")];
    for (path, id) in paths.into_iter().chain([("%C3%A9", "é"), ("%69nstruments", "instruments"), ("..", "..")]) {
        assert_eq!(server.history(path).await["id"], id, "{path}");
    }
    server.get("/instruments/BTC/USD").await.assert_problem(404, "unknown-path");
    server.get("/instruments/BTC%252FUSD").await.assert_problem(404, "unknown-instrument");
    for bad in ["%", "%4", "%zz", "%FF", "a%20", "%00", &"x".repeat(65)] {
        server.get(&format!("/instruments/{bad}")).await.assert_problem(400, "bad-id");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_can_not_be_served_gets_a_problem_document() {
    let server = quoted(&[]).await;
    server.get("/instruments/5").await.assert_problem(404, "unknown-instrument");
    for path in
        ["/nowhere", "/instruments/", "/instruments/4/", "//instruments", "/Instruments", "/instruments/4/candles"]
    {
        server.get(path).await.assert_problem(404, "unknown-path");
    }
    for query in ["fill=", "fill=all", "fill=none&fill=none", "fill"] {
        server.get(&format!("/instruments/4?{query}")).await.assert_problem(400, "bad-query");
    }
    assert_eq!(server.get("/instruments/4?Fill=all&x=1&x=2").await.status, 200, "unknown parameters are ignored");
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let refused =
            server.request(&format!("{method} /instruments/4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        refused.assert_problem(405, "method-not-allowed");
        assert_eq!(refused.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_response_has_the_headers_of_its_get_and_no_body() {
    let server = quoted(&[(605, 10.0)]).await;
    // The path `/` is last: its GET starts the feed, and then responses change.
    for path in ["/instruments", "/instruments/popular", "/instruments/5", "/"] {
        let (head, get) = (server.head(path).await, server.get(path).await);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert!(!get.body.is_empty());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_manual_start_nothing_is_read_before_a_get_of_the_root() {
    let feed = format!("file:{}/data/trades-2025-03-25.ndjson", env!("CARGO_MANIFEST_DIR"));
    let server = TestServer::start(&["--start", "manual", "--feed", &feed]).await;
    for _ in 0..50 {
        assert_eq!(server.head("/").await.status, 200);
        let options = server.request("OPTIONS / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert_eq!(options.status, 204);
        assert_eq!(server.listed().await, [""; 0]);
    }
    assert_eq!(server.received(), 0);
    for _ in 0..2 {
        let started = server.get("/").await;
        assert_eq!((started.status, started.body.as_str()), (200, START));
        assert_eq!(started.header("content-type"), Some("application/json"));
        assert_eq!(started.header("cache-control"), Some("no-store"));
        server.wait_accepted(11_032).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_manual_start_can_stop_before_the_start() {
    let server = TestServer::without_feed().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_feed_starts_by_itself_and_fills_every_minute() {
    let server = TestServer::start(&["--feed", "demo:?speed=100000&rate=10000/s&seed=1"]).await;
    server.wait_status("4", 200).await;
    let server = &server;
    crate::test_server::eventually("a full chart", async || {
        server.history("4").await["candles"].as_array().unwrap().len() == 30
    })
    .await;
    let history = server.history("4").await;
    let starts: Vec<i64> = field(&history, "openTimestamp").iter().map(|start| start.as_i64().unwrap()).collect();
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 60), "{starts:?}");
    let states = field(&history, "state");
    assert_eq!(states.iter().position(|state| state == "forming"), Some(29), "only the last candle is forming");
    assert_eq!(server.listed().await.len(), 10);
}
