//! Failures of feeds over real sockets. A proxy between the server and its feeds causes the failures.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod half_dead;
mod half_hour;
mod proxy;
mod test_server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_server::engine::clock::{Clock, ClockMode};
use examples::partner::{Partner, RandomSession, SessionOptions};
use proxy::{Fault, Proxy};
use serde_json::{Value, json};
use test_server::{TestServer, gap_of_fault};

/// Starts a partner with five instruments and `quotes` quotes per second, and returns its address.
async fn partner(quotes: u32) -> SocketAddr {
    let partner = Arc::new(Partner::bind("127.0.0.1:0").await.unwrap());
    let rate = format!("{quotes}/s").parse().unwrap();
    let session = RandomSession::new(SessionOptions { seed: 1, instruments: 5, rate, churn: None, disorder: 0 });
    let addr = partner.addr();
    tokio::spawn(async move { partner.play(session).await });
    addr
}

/// Starts a server with a partner behind a proxy and a second partner that never fails. Returns once the rate of the
/// first partner is known.
async fn start_with_two_feeds() -> (TestServer, Proxy) {
    let proxy = Proxy::to(partner(200).await).await;
    let second = partner(200).await;
    let server = TestServer::start(&[format!("partner+ws://{}", proxy.addr), format!("partner+ws://{second}")]).await;
    server.settled(0).await;
    (server, proxy)
}

/// Asserts that `fault` of the first feed causes a failover and a fail-back, and one gap with this reason.
async fn assert_failover_and_fail_back(fault: Fault, reason: &str) {
    let (server, proxy) = start_with_two_feeds().await;
    let at = server.engine.clock.now();
    proxy.set_fault(fault);
    let feed = server.active(1, "live").await;
    assert_eq!(gap_of_fault(&feed, at), (reason, true), "{feed:#}");
    proxy.set_fault(Fault::None);
    let feed = server.active(0, "live").await;
    assert_eq!(gap_of_fault(&feed, at), (reason, true), "the fail-back causes a gap: {feed:#}");
}

#[tokio::test]
async fn dropped_connections_cause_a_failover_and_a_fail_back() {
    assert_failover_and_fail_back(Fault::Cut, "protocol").await;
}

#[tokio::test]
async fn a_frozen_feed_causes_a_failover_and_a_fail_back() {
    assert_failover_and_fail_back(Fault::Freeze, "silent").await;
}

#[tokio::test]
async fn a_feed_that_sends_byte_by_byte_causes_a_failover_and_a_fail_back() {
    assert_failover_and_fail_back(Fault::Drip(Duration::from_millis(10)), "slow").await;
}

#[tokio::test]
async fn a_feed_that_accepts_and_sends_nothing_causes_a_failover_and_a_fail_back() {
    assert_failover_and_fail_back(Fault::Silence, "protocol").await;
}

#[tokio::test]
async fn a_half_closed_feed_causes_a_failover_and_a_fail_back() {
    assert_failover_and_fail_back(Fault::HalfClose, "protocol").await;
}

#[tokio::test]
async fn a_flapping_feed_causes_a_fail_back_only_after_it_was_live_for_the_whole_time() {
    /// The time before a fail-back: far longer than a change of the fault takes to be noticed.
    const FAIL_BACK_AFTER: Duration = Duration::from_secs(10);
    let proxy = Proxy::to(partner(200).await).await;
    let feeds = [proxy.addr, partner(200).await].map(|addr| format!("partner+ws://{addr}"));
    let server = TestServer::on_clock(&feeds, Clock::new(ClockMode::Wall), &["--fail-back-after", "10s"]).await;
    server.settled(0).await;
    proxy.set_fault(Fault::Cut);
    server.active(1, "live").await;
    for fault in [Fault::Cut, Fault::Freeze, Fault::Cut] {
        proxy.set_fault(Fault::None);
        let feed = server.feed("live again", |feed| feed["feeds"][0]["state"] == "live").await;
        assert_eq!(feed["feeds"][1]["active"], true, "too early: {feed:#}");
        proxy.set_fault(fault);
        let feed = server.feed("down again", |feed| feed["feeds"][0]["state"] == "down").await;
        assert_eq!(feed["feeds"][1]["active"], true, "too early: {feed:#}");
    }
    let live_since = Instant::now();
    proxy.set_fault(Fault::None);
    server.active(0, "live").await;
    assert!(live_since.elapsed() >= FAIL_BACK_AFTER, "after {:?}", live_since.elapsed());
}

#[tokio::test]
async fn a_single_feed_is_reconnected() {
    let proxy = Proxy::to(partner(200).await).await;
    let server = TestServer::start(&[format!("partner+ws://{}", proxy.addr)]).await;
    server.settled(0).await;
    let at = server.engine.clock.now();
    proxy.set_fault(Fault::Cut);
    server.feed("down", |feed| feed["state"] == "down" || feed["state"] == "connecting").await;
    proxy.set_fault(Fault::None);
    let feed = server.active(0, "live").await;
    assert_eq!(gap_of_fault(&feed, at), ("protocol", true));
}

#[tokio::test]
async fn a_feed_that_refuses_connections_is_retried_until_it_listens() {
    let proxy = Proxy::to(partner(200).await).await;
    let server = TestServer::start(&[format!("partner+ws://{}", proxy.addr)]).await;
    server.settled(0).await;
    let at = server.engine.clock.now();
    proxy.set_fault(Fault::Refuse);
    let tries = |feed: &Value| feed["feeds"][0]["losses"]["unreachable"].as_u64().unwrap_or(0);
    let feed = server.feed("refused three times", |feed| tries(feed) >= 3).await;
    assert!(["down", "connecting"].map(Into::into).contains(&feed["state"]), "{feed:#}");
    assert_eq!(gap_of_fault(&feed, at), ("protocol", false), "{feed:#}");
    proxy.set_fault(Fault::None);
    let feed = server.active(0, "live").await;
    assert_eq!(gap_of_fault(&feed, at), ("protocol", true), "{feed:#}");
}

#[tokio::test]
async fn refused_connections_cause_a_failover_and_a_fail_back() {
    assert_failover_and_fail_back(Fault::Refuse, "protocol").await;
}

#[tokio::test]
async fn split_and_delayed_frames_are_read_without_loss() {
    let proxy = Proxy::to(partner(50).await).await;
    let server = TestServer::start(&[format!("partner+ws://{}", proxy.addr)]).await;
    server.settled(0).await;
    for fault in [Fault::Split(1), Fault::Split(7), Fault::Delay(Duration::from_millis(20))] {
        proxy.set_fault(fault);
        let quotes = server.quotes().await;
        while server.quotes().await < quotes + 100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A pause of this process can cause a gap, but neither the connection nor a quote is lost.
        let feed = server.active(0, "live").await;
        let first = &feed["feeds"][0];
        assert_eq!((&first["connects"], &first["losses"]), (&1.into(), &json!({})), "{fault:?}: {feed:#}");
        let outcomes = server.engine.aggregator.outcomes();
        assert_eq!((server.engine.unreadable(), outcomes.received()), (0, outcomes.accepted()), "{fault:?}");
    }
}

#[tokio::test]
async fn the_feed_recovers_from_corrupted_bytes() {
    let (server, proxy) = start_with_two_feeds().await;
    proxy.set_fault(Fault::Corrupt(500));
    let is_lost = |feed: &Value| feed["feeds"][0]["losses"].as_object().is_some_and(|losses| !losses.is_empty());
    server.feed("disconnected by corruption", is_lost).await;
    proxy.set_fault(Fault::None);
    server.active(0, "live").await;
    for instrument in server.get("/instruments").await["instruments"].as_array().unwrap() {
        let price = instrument["lastPrice"].as_f64();
        assert!(price.is_none_or(|price| price > 0.0), "{instrument}");
    }
}

#[tokio::test]
async fn candles_report_missing_coverage_and_a_silent_feed_leaves_the_server_ready() {
    let proxy = Proxy::to(partner(200).await).await;
    let server = TestServer::start(&[format!("partner+ws://{}", proxy.addr)]).await;
    server.settled(0).await;
    let listing = server.get("/instruments").await;
    let path = format!("/instruments/{}", listing["instruments"][0]["id"].as_str().unwrap());
    let history = server.get(&path).await;
    assert_eq!(history["status"], "live");
    // The minute of the start is covered in part, unless the start was at its beginning.
    assert!(["partial", "complete"].map(Into::into).contains(&history["candles"][0]["coverage"]), "{history:#}");
    proxy.set_fault(Fault::Freeze);
    server.active(0, "silent").await;
    let forming = server.get(&path).await["candles"].as_array().unwrap().last().unwrap().clone();
    assert!(["partial", "none"].map(Into::into).contains(&forming["coverage"]), "{forming:#}");
    let ready = server.get("/readyz").await;
    assert_eq!((&ready["status"], &ready["feed"]), (&"ready".into(), &"silent".into()));
}

#[tokio::test]
async fn readiness_depends_on_the_feed_only_with_the_flag() {
    let proxy = Proxy::to(partner(200).await).await;
    let feeds = [format!("partner+ws://{}", proxy.addr)];
    let without_flag = TestServer::start(&feeds).await;
    let with_flag = TestServer::on_clock(&feeds, Clock::new(ClockMode::Wall), &["--ready-requires-feed"]).await;
    for server in [&without_flag, &with_flag] {
        server.settled(0).await;
        server.ready().await;
    }
    proxy.set_fault(Fault::Refuse);
    for server in [&without_flag, &with_flag] {
        server.active(0, "down").await;
    }
    let (status, body) = without_flag.get_with_status("/readyz").await;
    assert_eq!((status, &body["status"]), (200, &"ready".into()), "{body:#}");
    let (status, body) = with_flag.get_with_status("/readyz").await;
    assert_eq!((status, &body["type"]), (503, &"urn:candle:problem:not-ready".into()), "{body:#}");
    proxy.set_fault(Fault::None);
    with_flag.ready().await;
}
