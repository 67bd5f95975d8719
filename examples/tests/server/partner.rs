//! The partner's instruments and quotes, in every order that two sockets allow.

use std::time::{Duration, Instant};

use candle_core::Outcome;
use examples::partner::{Partner, Socket};
use serde_json::{Value, json};

use crate::site::{Site, forming};

async fn start() -> (Partner, Site) {
    let partner = Partner::bind("127.0.0.1:0").await.unwrap();
    let site = Site::with_partner(&partner).await;
    (partner, site)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instrument_lives_from_add_to_delete_and_a_later_add_is_another() {
    let (partner, site) = start().await;
    partner.add("A", "luptatum senectus");
    site.wait_status("A", 200).await;
    let new = site.history("A").await;
    assert_eq!(new["description"], "luptatum senectus");
    assert_eq!(
        (&new["status"], &new["lastQuoteTimestamp"], &new["candles"]),
        (&json!("never"), &Value::Null, &json!([]))
    );

    for (place, price) in [452.2828, 460.5, 440.25, 451.0].into_iter().enumerate() {
        partner.quote("A", price);
        site.wait_accepted(place as u64 + 1).await;
    }
    let after = site.history("A").await;
    assert_eq!(after["status"], "live");
    let quotes: u64 =
        after["candles"].as_array().unwrap().iter().map(|candle| candle["quotes"].as_u64().unwrap()).sum();
    assert_eq!((quotes, forming(&after)[3], &after["views"]), (4, 451.0, &json!(2)));

    partner.delete("A");
    site.wait_status("A", 404).await;
    site.get("/instruments/A").await.is_problem(404, "unknown-instrument");

    partner.add("A", "back");
    site.wait_status("A", 200).await;
    let again = site.history("A").await;
    assert_eq!((&again["description"], &again["views"], &again["candles"]), (&json!("back"), &json!(1), &json!([])));
    partner.quote("A", 7.0);
    site.wait_accepted(5).await;
    assert_eq!(forming(&site.history("A").await), [7.0; 4]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_add_changes_the_description_and_nothing_else() {
    let (partner, site) = start().await;
    partner.add("A", "first");
    partner.add("Z", "marks the order");
    site.wait_status("Z", 200).await;
    partner.quote("A", 5.0);
    site.wait_accepted(1).await;
    assert_eq!(site.history("A").await["views"], 1);
    partner.add("A", "second");
    partner.delete("Z");
    site.wait_status("Z", 404).await;
    let after = site.history("A").await;
    assert_eq!((&after["description"], &after["views"]), (&json!("second"), &json!(2)));
    assert_eq!(forming(&after)[3], 5.0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_before_its_add_is_held_and_then_counted_as_accepted() {
    let (partner, site) = start().await;
    partner.quote("A", 5.0);
    partner.send_raw(Socket::Quotes, "marks the order");
    site.wait_unreadable(1).await;
    assert_eq!(site.received(), 0, "held");
    assert_eq!(site.get("/instruments/A").await.status, 404);
    partner.add("A", "");
    site.wait_accepted(1).await;
    assert_eq!(site.received(), 1);
    assert_eq!(forming(&site.history("A").await), [5.0; 4]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_whose_add_does_not_come_is_given_up_after_two_seconds() {
    let (partner, site) = start().await;
    let sent = Instant::now();
    partner.quote("A", 5.0);
    site.wait_count(Outcome::UnknownInstrument, 1).await;
    assert!(sent.elapsed() >= Duration::from_secs(2), "{:?}", sent.elapsed());
    partner.add("A", "");
    site.wait_status("A", 200).await;
    partner.quote("A", 6.0);
    site.wait_accepted(1).await;
    assert_eq!((site.received(), forming(&site.history("A").await)), (2, [6.0; 4]));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_after_its_delete_never_revives() {
    let (partner, site) = start().await;
    partner.add("A", "");
    site.wait_status("A", 200).await;
    partner.delete("A");
    site.wait_status("A", 404).await;
    partner.quote("A", 5.0);
    site.wait_count(Outcome::UnknownInstrument, 1).await;
    assert_eq!(site.listed().await, [""; 0]);
    partner.add("A", "");
    site.wait_status("A", 200).await;
    assert_eq!(site.history("A").await["candles"], json!([]), "nor does it enter the next instrument of that id");
    site.stop().await;
}
