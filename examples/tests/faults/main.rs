//! What a server does when its feeds fail, over real sockets with a proxy in between that makes them fail.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod half_dead;
mod half_hour;
mod proxy;
mod site;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_server::clock::{Clock, ClockMode};
use examples::partner::{Life, LifeOptions, Partner};
use proxy::{Fault, Proxy};
use serde_json::{Value, json};
use site::{Site, gap_of_fault};

/// The address of a partner with this many quotes a second over five instruments that stay.
async fn partner(quotes: u32) -> SocketAddr {
    let partner = Arc::new(Partner::bind("127.0.0.1:0").await.unwrap());
    let rate = format!("{quotes}/s").parse().unwrap();
    let life = Life::new(LifeOptions { seed: 1, instruments: 5, rate, churn: None, disorder: 0 });
    let addr = partner.addr();
    tokio::spawn(async move { partner.live(life).await });
    addr
}

/// A server with a first partner behind a proxy and a second one that never fails, once the first one's rate is known.
async fn two() -> (Site, Proxy) {
    let proxy = Proxy::to(partner(200).await).await;
    let second = partner(200).await;
    let site = Site::start(&[format!("partner+ws://{}", proxy.addr), format!("partner+ws://{second}")]).await;
    site.settled(0).await;
    (site, proxy)
}

/// The first partner suffers `fault`: it is left, come back to, and the one gap has this reason.
async fn is_left_and_come_back_to(fault: Fault, reason: &str) {
    let (site, proxy) = two().await;
    let at = site.engine.clock.now();
    proxy.inflict(fault);
    let feed = site.active(1, "live").await;
    assert_eq!(gap_of_fault(&feed, at), (reason, true), "{feed:#}");
    proxy.inflict(Fault::None);
    let feed = site.active(0, "live").await;
    assert_eq!(gap_of_fault(&feed, at), (reason, true), "coming back costs nothing: {feed:#}");
}

#[tokio::test]
async fn a_cut_feed_is_left_and_come_back_to() {
    is_left_and_come_back_to(Fault::Cut, "protocol").await;
}

#[tokio::test]
async fn a_frozen_feed_is_left_and_come_back_to() {
    is_left_and_come_back_to(Fault::Freeze, "silent").await;
}

#[tokio::test]
async fn a_feed_that_drips_is_left_and_come_back_to() {
    is_left_and_come_back_to(Fault::Drip(Duration::from_millis(10)), "slow").await;
}

#[tokio::test]
async fn a_feed_that_accepts_and_says_nothing_is_left_and_come_back_to() {
    is_left_and_come_back_to(Fault::Silence, "protocol").await;
}

#[tokio::test]
async fn a_half_closed_feed_is_left_and_come_back_to() {
    is_left_and_come_back_to(Fault::HalfClose, "protocol").await;
}

#[tokio::test]
async fn a_feed_that_flaps_is_not_come_back_to_until_it_has_been_well_for_long_enough() {
    /// Far longer than this process takes to see that the feed is well, and to make it fail.
    const LONG_ENOUGH: Duration = Duration::from_secs(10);
    let proxy = Proxy::to(partner(200).await).await;
    let feeds = [proxy.addr, partner(200).await].map(|addr| format!("partner+ws://{addr}"));
    let site = Site::on_clock(&feeds, Clock::new(ClockMode::Wall), &["--fail-back-after", "10s"]).await;
    site.settled(0).await;
    proxy.inflict(Fault::Cut);
    site.active(1, "live").await;
    for fault in [Fault::Cut, Fault::Freeze, Fault::Cut] {
        proxy.inflict(Fault::None);
        let feed = site.feed("well again", |feed| feed["feeds"][0]["state"] == "live").await;
        assert_eq!(feed["feeds"][1]["active"], true, "too early: {feed:#}");
        proxy.inflict(fault);
        let feed = site.feed("ill again", |feed| feed["feeds"][0]["state"] == "down").await;
        assert_eq!(feed["feeds"][1]["active"], true, "too early: {feed:#}");
    }
    let well_from = Instant::now();
    proxy.inflict(Fault::None);
    site.active(0, "live").await;
    assert!(well_from.elapsed() >= LONG_ENOUGH, "after {:?}", well_from.elapsed());
}

#[tokio::test]
async fn a_lone_feed_is_connected_anew() {
    let proxy = Proxy::to(partner(200).await).await;
    let site = Site::start(&[format!("partner+ws://{}", proxy.addr)]).await;
    site.settled(0).await;
    let at = site.engine.clock.now();
    proxy.inflict(Fault::Cut);
    site.feed("down", |feed| feed["state"] == "down" || feed["state"] == "connecting").await;
    proxy.inflict(Fault::None);
    let feed = site.active(0, "live").await;
    assert_eq!(gap_of_fault(&feed, at), ("protocol", true));
}

#[tokio::test]
async fn a_feed_that_refuses_is_tried_again_and_found_once_it_listens() {
    let proxy = Proxy::to(partner(200).await).await;
    let site = Site::start(&[format!("partner+ws://{}", proxy.addr)]).await;
    site.settled(0).await;
    let at = site.engine.clock.now();
    proxy.inflict(Fault::Refuse);
    let tries = |feed: &Value| feed["feeds"][0]["losses"]["unreachable"].as_u64().unwrap_or(0);
    let feed = site.feed("refused three times", |feed| tries(feed) >= 3).await;
    assert!(["down", "connecting"].map(Into::into).contains(&feed["state"]), "{feed:#}");
    assert_eq!(gap_of_fault(&feed, at), ("protocol", false), "{feed:#}");
    proxy.inflict(Fault::None);
    let feed = site.active(0, "live").await;
    assert_eq!(gap_of_fault(&feed, at), ("protocol", true), "{feed:#}");
}

#[tokio::test]
async fn a_feed_that_refuses_is_left_and_come_back_to() {
    is_left_and_come_back_to(Fault::Refuse, "protocol").await;
}

#[tokio::test]
async fn frames_split_at_every_byte_and_late_ones_are_read_as_ever() {
    let proxy = Proxy::to(partner(50).await).await;
    let site = Site::start(&[format!("partner+ws://{}", proxy.addr)]).await;
    site.settled(0).await;
    for fault in [Fault::Split(1), Fault::Split(7), Fault::Delay(Duration::from_millis(20))] {
        proxy.inflict(fault);
        let quotes = site.quotes().await;
        while site.quotes().await < quotes + 100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A pause of this process may seem a gap, but nothing loses the one connection, or a quote.
        let feed = site.active(0, "live").await;
        let first = &feed["feeds"][0];
        assert_eq!((&first["connects"], &first["losses"]), (&1.into(), &json!({})), "{fault:?}: {feed:#}");
        let outcomes = site.engine.aggregator.outcomes();
        assert_eq!((site.engine.unreadable(), outcomes.received()), (0, outcomes.accepted()), "{fault:?}");
    }
}

#[tokio::test]
async fn corrupt_bytes_never_stop_the_feed_for_good() {
    let (site, proxy) = two().await;
    proxy.inflict(Fault::Corrupt(500));
    let is_lost = |feed: &Value| feed["feeds"][0]["losses"].as_object().is_some_and(|losses| !losses.is_empty());
    site.feed("lost to corruption", is_lost).await;
    proxy.inflict(Fault::None);
    site.active(0, "live").await;
    for instrument in site.get("/instruments").await["instruments"].as_array().unwrap() {
        let price = instrument["lastPrice"].as_f64();
        assert!(price.is_none_or(|price| price > 0.0), "{instrument}");
    }
}

#[tokio::test]
async fn a_candle_tells_what_its_minute_lacks_and_a_dead_feed_takes_no_replica_out() {
    let proxy = Proxy::to(partner(200).await).await;
    let site = Site::start(&[format!("partner+ws://{}", proxy.addr)]).await;
    site.settled(0).await;
    let listing = site.get("/instruments").await;
    let path = format!("/instruments/{}", listing["instruments"][0]["id"].as_str().unwrap());
    let history = site.get(&path).await;
    assert_eq!(history["status"], "live");
    // The first minute after a start is seen in part, unless it has just turned.
    assert!(["partial", "complete"].map(Into::into).contains(&history["candles"][0]["coverage"]), "{history:#}");
    proxy.inflict(Fault::Freeze);
    site.active(0, "silent").await;
    let forming = site.get(&path).await["candles"].as_array().unwrap().last().unwrap().clone();
    assert!(["partial", "none"].map(Into::into).contains(&forming["coverage"]), "{forming:#}");
    let ready = site.get("/readyz").await;
    assert_eq!((&ready["status"], &ready["feed"]), (&"ready".into(), &"silent".into()));
}

#[tokio::test]
async fn readiness_depends_on_the_feed_only_where_it_is_asked_to() {
    let proxy = Proxy::to(partner(200).await).await;
    let feeds = [format!("partner+ws://{}", proxy.addr)];
    let alone = Site::start(&feeds).await;
    let with_feed = Site::on_clock(&feeds, Clock::new(ClockMode::Wall), &["--ready-requires-feed"]).await;
    for site in [&alone, &with_feed] {
        site.settled(0).await;
        site.ready().await;
    }
    proxy.inflict(Fault::Refuse);
    for site in [&alone, &with_feed] {
        site.active(0, "down").await;
    }
    let (status, answer) = alone.answer("/readyz").await;
    assert_eq!((status, &answer["status"]), (200, &"ready".into()), "{answer:#}");
    let (status, answer) = with_feed.answer("/readyz").await;
    assert_eq!((status, &answer["type"]), (503, &"urn:candle:problem:not-ready".into()), "{answer:#}");
    proxy.inflict(Fault::None);
    with_feed.ready().await;
}
