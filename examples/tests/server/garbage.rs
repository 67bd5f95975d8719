//! Invalid messages from a partner.

use candle_core::Outcome;
use examples::partner::{Partner, Socket};
use examples::websocket::Frame;

use crate::test_server::{TestServer, connected, forming};

/// Starts a partner with the instrument `A`, and a server that has listed it.
async fn start() -> (Partner, TestServer) {
    let partner = Partner::bind("127.0.0.1:0").await.unwrap();
    partner.add("A", "");
    let server = TestServer::with_partner(&partner).await;
    server.wait_status("A", 200).await;
    (partner, server)
}

fn quote(id: &str, price: &str) -> String {
    format!(r#"{{"type":"QUOTE","data":{{"isin":"{id}","price":{price}}}}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_frame_is_counted_and_the_feed_continues() {
    let (partner, server) = start().await;
    let frames: Vec<Frame> = vec![
        "garbage".into(),
        "".into(),
        "null".into(),
        "{}".into(),
        r#"{"type":"QUOTE"}"#.into(),
        r#"{"type":"QUOTE","data":{"isin":"A"}}"#.into(),
        quote("A", "NaN").into(),
        quote("A", "1e999").into(),
        quote("A", "\"12.5\"").into(),
        "[".repeat(20_000).into(),
        format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)).into(),
        format!(r#"{{"type":"QUOTE","data":{{"isin":"A","price":{}1"#, "[".repeat(20_000)).into(),
        Frame::binary(vec![0, 159, 146, 150]),
        Frame::binary(quote("A", "12.5").into_bytes()),
    ];
    let mut sent = 0;
    for socket in [Socket::Quotes, Socket::Instruments] {
        for frame in &frames {
            partner.send_raw(socket, frame.clone());
            sent += 1;
            server.wait_unreadable(sent).await;
            partner.quote("A", sent as f64);
            server.wait_accepted(sent).await;
        }
    }
    assert_eq!(server.received(), sent);
    assert_eq!(forming(&server.history("A").await)[3], sent as f64);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_quote_is_rejected_and_the_feed_continues() {
    let (partner, server) = start().await;
    let long = "x".repeat(5000);
    let cases = [
        (quote("A", "-5"), Outcome::BadPrice),
        (quote("A", "0"), Outcome::BadPrice),
        (quote("A", "-0.0"), Outcome::BadPrice),
        (r#"{"id":"A","price":5,"size":-2e15}"#.to_owned(), Outcome::BadSize),
        (r#"{"id":"A","price":5,"timestamp":100}"#.to_owned(), Outcome::TooOld),
        (r#"{"id":"A","price":5,"timestamp":250000000000}"#.to_owned(), Outcome::TooFarAhead),
        (quote(&long, "5"), Outcome::UnknownInstrument),
        (quote("popular", "6"), Outcome::UnknownInstrument),
    ];
    let mut accepted = 0;
    for (frame, outcome) in cases {
        let before = server.count(outcome);
        partner.send_raw(Socket::Quotes, frame.as_str());
        server.wait_count(outcome, before + 1).await;
        accepted += 1;
        partner.quote("A", 10.0);
        server.wait_accepted(accepted).await;
    }
    assert_eq!(forming(&server.history("A").await), [10.0; 4]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_id_is_not_listed_and_the_feed_continues() {
    let (partner, server) = start().await;
    partner.add(&"x".repeat(5000), "");
    partner.add("popular", "");
    partner.add("", "");
    partner.add("white space", "");
    partner.delete("never there");
    partner.add("B", &"long ".repeat(1000));
    server.wait_status("B", 200).await;
    assert_eq!(server.listed().await, ["A", "B"]);
    assert_eq!(server.history("B").await["description"].as_str().unwrap().len(), 256);
    partner.quote("B", 1.0);
    server.wait_accepted(1).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversize_frame_closes_the_connection_and_the_feed_continues() {
    let (partner, server) = start().await;
    partner.send_raw(Socket::Quotes, " ".repeat((1 << 20) + 1).as_str());
    server.wait_unreadable(1).await;
    partner.add("B", "announced to the next connection as well");
    server.wait_status("B", 200).await;
    connected(&partner).await;
    let mut sent = 0.0;
    // A quote sent while no client is connected is lost, as with the real partner.
    crate::test_server::eventually("a quote of the next connection", async || {
        sent += 1.0;
        partner.quote("B", sent);
        server.accepted() > 0
    })
    .await;
    server.stop().await;
}
