//! What a server does when its feeds fail, over real sockets with a proxy in between that makes them fail.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod half_hour;
mod proxy;
mod site;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use examples::partner::{Life, LifeOptions, Partner};
use proxy::{Fault, Proxy};
use site::{Site, gaps};

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
    proxy.inflict(fault);
    let feed = site.active(1, "live").await;
    assert_eq!(gaps(&feed), [(reason.to_owned(), true)], "{feed:#}");
    proxy.inflict(Fault::None);
    let feed = site.active(0, "live").await;
    assert_eq!(gaps(&feed), [(reason.to_owned(), true)], "coming back costs nothing: {feed:#}");
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
async fn a_lone_feed_is_connected_anew() {
    let proxy = Proxy::to(partner(200).await).await;
    let site = Site::start(&[format!("partner+ws://{}", proxy.addr)]).await;
    site.settled(0).await;
    proxy.inflict(Fault::Cut);
    site.feed("down", |feed| feed["state"] == "down" || feed["state"] == "connecting").await;
    proxy.inflict(Fault::None);
    let feed = site.active(0, "live").await;
    assert_eq!(gaps(&feed), [("protocol".to_owned(), true)]);
}

#[tokio::test]
async fn a_feed_that_refuses_is_tried_again_and_found_once_it_listens() {
    let proxy = Proxy::to(partner(200).await).await;
    let site = Site::start(&[format!("partner+ws://{}", proxy.addr)]).await;
    site.settled(0).await;
    proxy.inflict(Fault::Refuse);
    let tries = |feed: &serde_json::Value| feed["feeds"][0]["losses"]["unreachable"].as_u64().unwrap_or(0);
    let feed = site.feed("refused three times", |feed| tries(feed) >= 3).await;
    assert!(["down", "connecting"].map(Into::into).contains(&feed["state"]), "{feed:#}");
    assert_eq!(gaps(&feed), [("protocol".to_owned(), false)], "{feed:#}");
    proxy.inflict(Fault::None);
    let feed = site.active(0, "live").await;
    assert_eq!(gaps(&feed), [("protocol".to_owned(), true)], "{feed:#}");
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
        let feed = site.get("/feed").await;
        assert_eq!((&feed["state"], gaps(&feed)), (&"live".into(), Vec::new()), "{fault:?}: {feed:#}");
    }
}

#[tokio::test]
async fn corrupt_bytes_never_stop_the_feed_for_good() {
    let (site, proxy) = two().await;
    proxy.inflict(Fault::Corrupt(500));
    site.feed("lost to corruption", |feed| !gaps(feed).is_empty()).await;
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
