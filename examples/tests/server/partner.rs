//! The partner's instruments and quotes, in every order that two sockets can produce.

use std::time::{Duration, Instant};

use candle_core::Outcome;
use examples::partner::{Partner, Socket};
use serde_json::{Value, json};

use crate::test_server::{TestServer, forming};

async fn start() -> (Partner, TestServer) {
    let partner = Partner::bind("127.0.0.1:0").await.unwrap();
    let server = TestServer::with_partner(&partner).await;
    (partner, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instrument_is_listed_from_add_to_delete_and_a_later_add_lists_a_new_one() {
    let (partner, server) = start().await;
    partner.add("A", "luptatum senectus");
    server.wait_status("A", 200).await;
    let new = server.history("A").await;
    assert_eq!(new["description"], "luptatum senectus");
    assert_eq!(
        (&new["status"], &new["lastQuoteTimestamp"], &new["candles"]),
        (&json!("never"), &Value::Null, &json!([]))
    );

    for (index, price) in [452.2828, 460.5, 440.25, 451.0].into_iter().enumerate() {
        partner.quote("A", price);
        server.wait_accepted(index as u64 + 1).await;
    }
    let after = server.history("A").await;
    assert_eq!(after["status"], "live");
    let quotes: u64 =
        after["candles"].as_array().unwrap().iter().map(|candle| candle["quotes"].as_u64().unwrap()).sum();
    assert_eq!((quotes, forming(&after)[3], &after["views"]), (4, 451.0, &json!(2)));

    partner.delete("A");
    server.wait_status("A", 404).await;
    server.get("/instruments/A").await.assert_problem(404, "unknown-instrument");

    partner.add("A", "back");
    server.wait_status("A", 200).await;
    let again = server.history("A").await;
    assert_eq!((&again["description"], &again["views"], &again["candles"]), (&json!("back"), &json!(1), &json!([])));
    partner.quote("A", 7.0);
    server.wait_accepted(5).await;
    assert_eq!(forming(&server.history("A").await), [7.0; 4]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_add_changes_the_description_and_nothing_else() {
    let (partner, server) = start().await;
    partner.add("A", "first");
    partner.add("Z", "marks the order");
    server.wait_status("Z", 200).await;
    partner.quote("A", 5.0);
    server.wait_accepted(1).await;
    assert_eq!(server.history("A").await["views"], 1);
    partner.add("A", "second");
    partner.delete("Z");
    server.wait_status("Z", 404).await;
    let after = server.history("A").await;
    assert_eq!((&after["description"], &after["views"]), (&json!("second"), &json!(2)));
    assert_eq!(forming(&after)[3], 5.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_before_its_add_waits_and_is_then_accepted() {
    let (partner, server) = start().await;
    partner.quote("A", 5.0);
    partner.send_raw(Socket::Quotes, "marks the order");
    server.wait_unreadable(1).await;
    assert_eq!(server.received(), 0, "the quote waits");
    assert_eq!(server.get("/instruments/A").await.status, 404);
    partner.add("A", "");
    server.wait_accepted(1).await;
    assert_eq!(server.received(), 1);
    assert_eq!(forming(&server.history("A").await), [5.0; 4]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_without_an_add_is_rejected_after_two_seconds() {
    let (partner, server) = start().await;
    let sent = Instant::now();
    partner.quote("A", 5.0);
    server.wait_count(Outcome::UnknownInstrument, 1).await;
    assert!(sent.elapsed() >= Duration::from_secs(2), "{:?}", sent.elapsed());
    partner.add("A", "");
    server.wait_status("A", 200).await;
    partner.quote("A", 6.0);
    server.wait_accepted(1).await;
    assert_eq!((server.received(), forming(&server.history("A").await)), (2, [6.0; 4]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_after_its_delete_does_not_list_the_instrument() {
    let (partner, server) = start().await;
    partner.add("A", "");
    server.wait_status("A", 200).await;
    partner.delete("A");
    server.wait_status("A", 404).await;
    partner.quote("A", 5.0);
    server.wait_count(Outcome::UnknownInstrument, 1).await;
    assert_eq!(server.listed().await, [""; 0]);
    partner.add("A", "");
    server.wait_status("A", 200).await;
    assert_eq!(
        server.history("A").await["candles"],
        json!([]),
        "the quote is not recorded in the next instrument with this id"
    );
    server.stop().await;
}
