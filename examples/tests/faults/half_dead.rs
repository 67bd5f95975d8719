//! A partner of which one socket stands still while the other one flows.

use candle_server::feed::source::websocket::SILENCE;
use serde_json::Value;

use crate::proxy::Fault;
use crate::site::gap_of_fault;
use crate::two;

#[tokio::test]
async fn a_partner_whose_quotes_stand_still_is_left_and_its_catalogue_alone_brings_nobody_back() {
    let (site, proxy) = two().await;
    let at = site.engine.clock.now();
    proxy.inflict(Fault::FreezeOne("/quotes"));
    let feed = site.active(1, "live").await;
    assert_eq!(gap_of_fault(&feed, at), ("silent", true), "{feed:#}");
    let tried = |feed: &Value| feed["feeds"][0]["losses"]["timed-out"].as_u64() >= Some(1);
    let feed = site.feed("tried again in vain", tried).await;
    assert_eq!(feed["feeds"][1]["active"], true, "{feed:#}");
    proxy.inflict(Fault::None);
    site.active(0, "live").await;
}

#[tokio::test]
async fn a_partner_whose_catalogue_stands_still_is_lost_though_its_quotes_flow() {
    let (site, proxy) = two().await;
    proxy.inflict(Fault::FreezeOne("/instruments"));
    // Of two last_heard the older one is told, long before patience is over.
    let quieter = |feed: &Value| feed["feeds"][0]["lastMessageAge"].as_f64() > Some(5.0);
    let feed = site.feed("one socket quiet", quieter).await;
    assert!(feed["feeds"][0]["lastQuoteAge"].as_f64() < Some(SILENCE.as_secs_f64()), "{feed:#}");
    let lost = |feed: &Value| feed["feeds"][0]["losses"]["silent"] == 1;
    let feed = site.feed("lost", lost).await;
    assert_ne!(feed["feeds"][0]["state"], "live", "{feed:#}");
    site.active(1, "live").await;
    proxy.inflict(Fault::None);
    site.active(0, "live").await;
}
