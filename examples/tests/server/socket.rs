//! A single WebSocket of quotes.

use candle_core::Outcome;
use examples::partner::{Partner, Socket};
use serde_json::json;

use crate::test_server::{TestServer, connected, eventually, forming};

/// Starts a stream and a server that reads it. The quotes of a mock partner serve as the stream.
async fn start(flags: &[&str]) -> (Partner, TestServer) {
    let stream = Partner::bind("127.0.0.1:0").await.unwrap();
    let feed = format!("ws://{}/quotes?token=1", stream.addr());
    let server = TestServer::start(&[&["--feed", feed.as_str()], flags].concat()).await;
    stream.wait_for_clients(Socket::Quotes, 1).await;
    (stream, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instrument_is_listed_at_its_first_acceptable_quote() {
    let (stream, server) = start(&[]).await;
    for (price, outcome) in [("-5", Outcome::BadPrice), ("0", Outcome::BadPrice)] {
        let before = server.count(outcome);
        stream.send_raw(Socket::Quotes, format!(r#"{{"id":4,"price":{price}}}"#).as_str());
        server.wait_count(outcome, before + 1).await;
    }
    stream.send_raw(Socket::Quotes, r#"{"id":"popular","price":5}"#);
    server.wait_count(Outcome::BadId, 1).await;
    assert_eq!(server.listed().await, [""; 0]);
    stream.send_raw(
        Socket::Quotes,
        r#"[{"id":4,"price":5},{"id":"4","price":6},{"id":4,"price":1e999},{"id":0,"price":7}]"#,
    );
    server.wait_accepted(3).await;
    assert_eq!(server.engine.unreadable(), 1, "a bad element affects no other element");
    assert_eq!(server.listed().await, ["0", "4"]);
    assert_eq!(forming(&server.history("4").await)[3], 6.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_and_negative_prices_are_accepted_if_allowed() {
    let (stream, server) = start(&["--allow-non-positive"]).await;
    stream.send_raw(Socket::Quotes, r#"[{"id":4,"price":-37.63},{"id":4,"price":-0.0}]"#);
    server.wait_accepted(2).await;
    let history = server.history("4").await;
    assert_eq!(history["candles"].as_array().unwrap().last().unwrap()["closePrice"], json!(0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_on_instruments_is_enforced() {
    let (stream, server) = start(&["--max-instruments", "2"]).await;
    stream.send_raw(Socket::Quotes, r#"[{"id":1,"price":5},{"id":2,"price":5},{"id":3,"price":5},{"id":1,"price":5}]"#);
    server.wait_accepted(3).await;
    assert_eq!(server.count(Outcome::Full), 1);
    assert_eq!(server.listed().await, ["1", "2"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_restarts_at_an_earlier_time_clears_the_candles() {
    let (stream, server) = start(&["--clock", "feed"]).await;
    stream.send_raw(Socket::Quotes, r#"{"id":4,"price":5,"timestamp":1000000}"#);
    server.wait_accepted(1).await;
    assert_eq!(server.history("4").await["asOf"], json!(1_000_000));
    stream.disconnect(Socket::Quotes);
    eventually("the next connection's quote", async || {
        stream.send_raw(Socket::Quotes, r#"{"id":4,"price":9,"timestamp":900000}"#);
        server.accepted() > 1
    })
    .await;
    let history = server.history("4").await;
    assert_eq!((&history["asOf"], &history["views"]), (&json!(900_000), &json!(2)));
    assert_eq!(history["candles"].as_array().unwrap().len(), 1);
    assert_eq!(forming(&history), [9.0; 4]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_feed_becomes_active_if_the_first_can_not_be_reached() {
    let gone = Partner::bind("127.0.0.1:0").await.unwrap();
    let unreachable = format!("ws://{}/quotes", gone.addr());
    gone.shutdown().await;
    let partner = Partner::bind("127.0.0.1:0").await.unwrap();
    partner.add("A", "");
    let server =
        TestServer::start(&["--feed", &unreachable, "--feed", &format!("partner+ws://{}", partner.addr())]).await;
    connected(&partner).await;
    server.wait_status("A", 200).await;
    server.stop().await;
}
