//! Dropped connections, restarted partners and a restarted server.

use examples::partner::{Partner, Socket};

use crate::test_server::{TestServer, connected, eventually, forming};

/// Starts a partner with these instruments, and a server that has listed them.
async fn start(instruments: &[&str]) -> (Partner, TestServer) {
    let partner = Partner::bind("127.0.0.1:0").await.unwrap();
    for id in instruments {
        partner.add(id, "");
    }
    let server = TestServer::with_partner(&partner).await;
    for id in instruments {
        server.wait_status(id, 200).await;
    }
    (partner, server)
}

/// Sends quotes of `id` until the server accepts one. A quote sent while no client is connected is lost.
async fn quote_until_accepted(partner: &Partner, server: &TestServer, id: &str, price: f64) {
    let before = server.accepted();
    eventually("a quote is accepted", async || {
        partner.quote(id, price);
        server.accepted() > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reconnect_announced_instruments_keep_candles_and_views_and_others_are_delisted() {
    for dropped in [&[Socket::Instruments][..], &[Socket::Quotes, Socket::Instruments]] {
        let (partner, server) = start(&["A", "B"]).await;
        quote_until_accepted(&partner, &server, "A", 5.0).await;
        assert_eq!(server.history("A").await["views"], 1);
        for socket in dropped {
            partner.disconnect(*socket);
        }
        partner.delete("B");
        partner.add("C", "");
        server.wait_status("B", 404).await;
        assert_eq!(server.listed().await, ["A", "C"], "{dropped:?}");
        quote_until_accepted(&partner, &server, "A", 6.0).await;
        let after = server.history("A").await;
        assert_eq!(after["views"], 2);
        assert_eq!(forming(&after)[3], 6.0);
        let first = after["candles"][0]["openPrice"].as_f64();
        assert_eq!(first, Some(5.0), "{dropped:?}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn if_the_quotes_are_disconnected_both_sockets_reconnect() {
    let (partner, server) = start(&["A", "B"]).await;
    partner.disconnect(Socket::Quotes);
    quote_until_accepted(&partner, &server, "B", 1.0).await;
    connected(&partner).await;
    partner.add("C", "");
    server.wait_status("C", 200).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_partner_with_other_instruments_replaces_them() {
    let (partner, server) = start(&["A", "B"]).await;
    quote_until_accepted(&partner, &server, "A", 5.0).await;
    let address = partner.addr();
    partner.shutdown().await;
    assert_eq!(forming(&server.history("A").await)[3], 5.0, "the history is served while the partner is down");

    let partner = Partner::bind(address).await.unwrap();
    connected(&partner).await;
    assert_eq!(server.listed().await, ["A", "B"], "nothing is delisted before the first ADD");
    partner.add("B", "the same id");
    partner.add("C", "");
    server.wait_status("A", 404).await;
    assert_eq!(server.listed().await, ["B", "C"]);
    quote_until_accepted(&partner, &server, "C", 7.0).await;
    assert_eq!(forming(&server.history("C").await), [7.0; 4]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_starts_after_the_server_is_connected() {
    let partner = Partner::bind("127.0.0.1:0").await.unwrap();
    let address = partner.addr();
    partner.shutdown().await;
    let server = TestServer::start(&["--feed", &format!("partner+ws://{address}")]).await;
    assert_eq!(server.get("/instruments").await.status, 200);
    let partner = Partner::bind(address).await.unwrap();
    partner.add("A", "");
    server.wait_status("A", 200).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_restarted_from_its_store_delists_what_the_partner_does_not_announce_again() {
    let store = std::env::temp_dir().join(format!("candle-restored-{}", std::process::id()));
    let partner = Partner::bind("127.0.0.1:0").await.unwrap();
    let feed = format!("partner+ws://{}", partner.addr());
    let flags = ["--feed", &feed, "--store", store.to_str().unwrap()];
    for id in ["A", "B"] {
        partner.add(id, "");
    }
    let server = TestServer::start(&flags).await;
    for id in ["A", "B"] {
        server.wait_status(id, 200).await;
    }
    // Quotes sent before the socket for quotes is connected are lost.
    quote_until_accepted(&partner, &server, "A", 5.0).await;
    server.stop().await;
    partner.delete("B");
    partner.add("C", "");

    let server = TestServer::start(&flags).await;
    server.wait_status("C", 200).await;
    server.wait_status("B", 404).await;
    let restored = server.history("A").await;
    assert_eq!(restored["candles"][0]["openPrice"], 5.0, "{restored}");
    assert_eq!(server.listed().await, ["A", "C"]);
    server.stop().await;
    std::fs::remove_file(store).unwrap();
}
