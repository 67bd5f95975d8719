//! A single WebSocket of quotes.

use candle_core::Outcome;
use examples::partner::{Partner, Socket};
use serde_json::json;

use crate::site::{Site, connected, eventually, forming};

/// A stream, and a server that reads it: the partner's quotes serve as one.
async fn start(flags: &[&str]) -> (Partner, Site) {
    let stream = Partner::bind("127.0.0.1:0").await.unwrap();
    let feed = format!("ws://{}/quotes?token=1", stream.addr());
    let site = Site::start(&[&["--feed", feed.as_str()], flags].concat()).await;
    stream.wait_for_clients(Socket::Quotes, 1).await;
    (stream, site)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instrument_is_listed_at_its_first_acceptable_quote() {
    let (stream, site) = start(&[]).await;
    for (price, outcome) in [("-5", Outcome::BadPrice), ("0", Outcome::BadPrice)] {
        let before = site.count(outcome);
        stream.send_raw(Socket::Quotes, format!(r#"{{"id":4,"price":{price}}}"#).as_str());
        site.wait_count(outcome, before + 1).await;
    }
    stream.send_raw(Socket::Quotes, r#"{"id":"popular","price":5}"#);
    site.wait_count(Outcome::BadId, 1).await;
    assert_eq!(site.listed().await, [""; 0]);
    stream.send_raw(
        Socket::Quotes,
        r#"[{"id":4,"price":5},{"id":"4","price":6},{"id":4,"price":1e999},{"id":0,"price":7}]"#,
    );
    site.wait_accepted(3).await;
    assert_eq!(site.engine.unreadable(), 1, "a bad element fails alone");
    assert_eq!(site.listed().await, ["0", "4"]);
    assert_eq!(forming(&site.history("4").await)[3], 6.0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_of_zero_and_below_are_taken_where_they_are_allowed() {
    let (stream, site) = start(&["--allow-non-positive"]).await;
    stream.send_raw(Socket::Quotes, r#"[{"id":4,"price":-37.63},{"id":4,"price":-0.0}]"#);
    site.wait_accepted(2).await;
    let history = site.history("4").await;
    assert_eq!(history["candles"].as_array().unwrap().last().unwrap()["closePrice"], json!(0));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_instruments_are_listed_than_may_be() {
    let (stream, site) = start(&["--max-instruments", "2"]).await;
    stream.send_raw(Socket::Quotes, r#"[{"id":1,"price":5},{"id":2,"price":5},{"id":3,"price":5},{"id":1,"price":5}]"#);
    site.wait_accepted(3).await;
    assert_eq!(site.count(Outcome::Full), 1);
    assert_eq!(site.listed().await, ["1", "2"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_restarts_earlier_on_its_own_clock_starts_candles_afresh() {
    let (stream, site) = start(&["--clock", "feed"]).await;
    stream.send_raw(Socket::Quotes, r#"{"id":4,"price":5,"timestamp":1000000}"#);
    site.wait_accepted(1).await;
    assert_eq!(site.history("4").await["asOf"], json!(1_000_000));
    stream.cut(Socket::Quotes);
    eventually("the next connection's quote", async || {
        stream.send_raw(Socket::Quotes, r#"{"id":4,"price":9,"timestamp":900000}"#);
        site.accepted() > 1
    })
    .await;
    let history = site.history("4").await;
    assert_eq!((&history["asOf"], &history["views"]), (&json!(900_000), &json!(2)));
    assert_eq!(history["candles"].as_array().unwrap().len(), 1);
    assert_eq!(forming(&history), [9.0; 4]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_of_two_is_turned_to_when_the_other_can_not_be_reached() {
    let gone = Partner::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("ws://{}/quotes", gone.addr());
    gone.shutdown().await;
    let partner = Partner::bind("127.0.0.1:0").await.unwrap();
    partner.add("A", "");
    let site = Site::start(&["--feed", &nobody, "--feed", &format!("partner+ws://{}", partner.addr())]).await;
    connected(&partner).await;
    site.wait_status("A", 200).await;
    site.stop().await;
}
