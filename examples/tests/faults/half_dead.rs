//! A partner with one frozen socket and one working socket.

use candle_server::feed::source::websocket::SILENCE;
use serde_json::Value;

use crate::proxy::Fault;
use crate::start_with_two_feeds;
use crate::test_server::gap_of_fault;

#[tokio::test]
async fn frozen_quotes_cause_a_failover_and_instruments_alone_cause_no_fail_back() {
    let (server, proxy) = start_with_two_feeds().await;
    let at = server.engine.clock.now();
    proxy.set_fault(Fault::FreezeOne("/quotes"));
    let feed = server.active(1, "live").await;
    assert_eq!(gap_of_fault(&feed, at), ("silent", true), "{feed:#}");
    let has_timed_out = |feed: &Value| feed["feeds"][0]["losses"]["timed-out"].as_u64() >= Some(1);
    let feed = server.feed("a failed reconnect", has_timed_out).await;
    assert_eq!(feed["feeds"][1]["active"], true, "{feed:#}");
    proxy.set_fault(Fault::None);
    server.active(0, "live").await;
}

#[tokio::test]
async fn frozen_instruments_cause_a_failover_although_quotes_arrive() {
    let (server, proxy) = start_with_two_feeds().await;
    proxy.set_fault(Fault::FreezeOne("/instruments"));
    // The age of the last message is that of the quieter socket. It grows long before the silence timeout.
    let quieter = |feed: &Value| feed["feeds"][0]["lastMessageAge"].as_f64() > Some(5.0);
    let feed = server.feed("one socket quiet", quieter).await;
    assert!(feed["feeds"][0]["lastQuoteAge"].as_f64() < Some(SILENCE.as_secs_f64()), "{feed:#}");
    let lost = |feed: &Value| feed["feeds"][0]["losses"]["silent"] == 1;
    let feed = server.feed("lost", lost).await;
    assert_ne!(feed["feeds"][0]["state"], "live", "{feed:#}");
    server.active(1, "live").await;
    proxy.set_fault(Fault::None);
    server.active(0, "live").await;
}
