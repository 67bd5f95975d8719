//! Cut sockets and restarted partners.

use examples::partner::{Partner, Socket};

use crate::site::{Site, connected, eventually, forming};

/// A partner with these instruments, and a server that has listed them.
async fn start(instruments: &[&str]) -> (Partner, Site) {
    let partner = Partner::bind("127.0.0.1:0").await.unwrap();
    for id in instruments {
        partner.add(id, "");
    }
    let site = Site::with_partner(&partner).await;
    for id in instruments {
        site.wait_status(id, 200).await;
    }
    (partner, site)
}

/// Quotes `id` until one more quote has come through: what is sent while nobody is connected is gone.
async fn quote_through(partner: &Partner, site: &Site, id: &str, price: f64) {
    let before = site.accepted();
    eventually("a quote comes through", async || {
        partner.quote(id, price);
        site.accepted() > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_socket_is_connected_anew_and_what_is_announced_again_keeps_candles_and_views() {
    for cut in [&[Socket::Instruments][..], &[Socket::Quotes, Socket::Instruments]] {
        let (partner, site) = start(&["A", "B"]).await;
        quote_through(&partner, &site, "A", 5.0).await;
        assert_eq!(site.history("A").await["views"], 1);
        for socket in cut {
            partner.cut(*socket);
        }
        partner.delete("B");
        partner.add("C", "");
        site.wait_status("B", 404).await;
        assert_eq!(site.listed().await, ["A", "C"], "{cut:?}");
        quote_through(&partner, &site, "A", 6.0).await;
        let after = site.history("A").await;
        assert_eq!(after["views"], 2);
        assert_eq!(forming(&after)[3], 6.0);
        let first = after["candles"][0]["openPrice"].as_f64();
        assert_eq!(first, Some(5.0), "{cut:?}");
        site.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_the_quotes_alone_ends_both_sockets_and_both_come_back() {
    let (partner, site) = start(&["A", "B"]).await;
    partner.cut(Socket::Quotes);
    quote_through(&partner, &site, "B", 1.0).await;
    connected(&partner).await;
    partner.add("C", "");
    site.wait_status("C", 200).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_partner_with_other_instruments_replaces_them() {
    let (partner, site) = start(&["A", "B"]).await;
    quote_through(&partner, &site, "A", 5.0).await;
    let address = partner.addr();
    partner.shutdown().await;
    assert_eq!(forming(&site.history("A").await)[3], 5.0, "served on while the partner is away");

    let partner = Partner::bind(address).await.unwrap();
    connected(&partner).await;
    assert_eq!(site.listed().await, ["A", "B"], "nothing is concluded before the first ADD");
    partner.add("B", "the same id");
    partner.add("C", "");
    site.wait_status("A", 404).await;
    assert_eq!(site.listed().await, ["B", "C"]);
    quote_through(&partner, &site, "C", 7.0).await;
    assert_eq!(forming(&site.history("C").await), [7.0; 4]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_comes_later_than_the_server_is_found() {
    let partner = Partner::bind("127.0.0.1:0").await.unwrap();
    let address = partner.addr();
    partner.shutdown().await;
    let site = Site::start(&["--feed", &format!("partner+ws://{address}")]).await;
    assert_eq!(site.get("/instruments").await.status, 200);
    let partner = Partner::bind(address).await.unwrap();
    partner.add("A", "");
    site.wait_status("A", 200).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_again_from_its_store_delists_what_the_partner_does_not_announce_again() {
    let store = std::env::temp_dir().join(format!("candle-restored-{}", std::process::id()));
    let partner = Partner::bind("127.0.0.1:0").await.unwrap();
    let feed = format!("partner+ws://{}", partner.addr());
    let flags = ["--feed", &feed, "--store", store.to_str().unwrap()];
    for id in ["A", "B"] {
        partner.add(id, "");
    }
    let site = Site::start(&flags).await;
    for id in ["A", "B"] {
        site.wait_status(id, 200).await;
    }
    // What is sent before the other socket is connected is gone.
    quote_through(&partner, &site, "A", 5.0).await;
    site.stop().await;
    partner.delete("B");
    partner.add("C", "");

    let site = Site::start(&flags).await;
    site.wait_status("C", 200).await;
    site.wait_status("B", 404).await;
    let kept = site.history("A").await;
    assert_eq!(kept["candles"][0]["openPrice"], 5.0, "{kept}");
    assert_eq!(site.listed().await, ["A", "C"]);
    site.stop().await;
    std::fs::remove_file(store).unwrap();
}
