//! The listing and the most viewed.

use candle_core::{Tick, Timestamp};
use serde_json::{Value, json};

use crate::site::{Site, eventually, ids};

/// Every byte escaped.
fn escaped(id: &str) -> String {
    id.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

/// All pages from the first, by their `next`.
async fn pages(site: &Site, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut after = String::new();
    loop {
        let page = site.get(&format!("/instruments?{query}{after}")).await.json();
        pages.push(ids(&page["instruments"]));
        match &page["next"] {
            Value::Null => return pages,
            next => after = format!("&after={}", escaped(next.as_str().unwrap())),
        }
    }
}

/// Waits until these are the popular, in this order: an answer may be reused for a moment.
async fn popular_become(site: &Site, expected: &[(&str, u64)]) {
    let named = |one: &Value| (one["id"].as_str().unwrap().to_owned(), one["views"].as_u64().unwrap());
    let expected: Vec<_> = expected.iter().map(|(id, views)| ((*id).to_owned(), *views)).collect();
    eventually(&format!("{expected:?}"), async || {
        let popular = site.get("/instruments/popular").await.json();
        popular.as_array().unwrap().iter().map(named).collect::<Vec<_>>() == expected
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_instruments_are_listed_page_by_page_in_the_order_of_their_bytes() {
    let site = Site::without_feed().await;
    let mut all: Vec<String> = (0..2497).map(|number| number.to_string()).collect();
    all.extend(["BTC/USD", "a+b", "100%", "é", "漢字", "\"\\<&>", "?&=#", "~", "..", "popula"].map(str::to_owned));
    for id in &all {
        site.engine.aggregator.list(id, None).unwrap();
    }
    all.sort_unstable();
    let sizes = |page: usize| (0..all.len()).step_by(page).map(move |start| page.min(2507 - start)).collect::<Vec<_>>();
    for (query, page) in [("limit=1000", 1000), ("limit=836", 836), ("", 100)] {
        let pages = pages(&site, query).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes(page), "{query}");
        assert_eq!(pages.concat(), all, "{query}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_last_page_has_no_next() {
    let site = Site::without_feed().await;
    for id in ["a", "b", "c", "d"] {
        site.engine.aggregator.list(id, None).unwrap();
    }
    assert_eq!(pages(&site, "limit=2").await, [["a", "b"], ["c", "d"]]);
    assert_eq!(pages(&site, "limit=4").await, [["a", "b", "c", "d"]]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_and_a_place_to_go_on_from_narrow_the_listing() {
    let site = Site::without_feed().await;
    for id in ["1", "10", "100", "11", "2", "BTC/EUR", "BTC/USD", "BTD"] {
        site.engine.aggregator.list(id, None).unwrap();
    }
    let cases: [(&str, &[&str]); 9] = [
        ("prefix=1", &["1", "10", "100", "11"]),
        ("prefix=1&after=10", &["100", "11"]),
        ("prefix=1&after=0", &["1", "10", "100", "11"]),
        ("prefix=1&after=2", &[]),
        ("prefix=BTC%2F", &["BTC/EUR", "BTC/USD"]),
        ("prefix=BTC%2F&after=BTC%2FEUR&limit=1", &["BTC/USD"]),
        ("prefix=&limit=1", &["1"]),
        ("after=never-listed", &[]),
        ("after=BTC%2FUSD&colour=red&colour=blue", &["BTD"]),
    ];
    for (query, expected) in cases {
        let page = site.get(&format!("/instruments?{query}")).await.json();
        assert_eq!(ids(&page["instruments"]), expected, "{query}");
    }
    for query in [
        "limit=0",
        "limit=1001",
        "limit=+5",
        "limit=abc",
        "limit=",
        "limit=5&limit=5",
        "after=%FF",
        "prefix=a%20b",
        "after=",
    ] {
        site.get(&format!("/instruments?{query}")).await.is_problem(400, "bad-query");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_says_what_each_instrument_is() {
    let site = Site::without_feed().await;
    let now = Timestamp::from_seconds(1000).unwrap();
    site.engine.clock.restart_at(now);
    site.engine.aggregator.list("a", Some("\"quoted\" \u{1}")).unwrap();
    site.engine.aggregator.list("b", None).unwrap();
    for price in [5.0, 6.25] {
        assert!(site.engine.aggregator.record("a", &Tick::new(now, price), now).is_accepted());
    }
    site.history("a").await;
    assert_eq!(
        site.get("/instruments").await.json(),
        json!({"instruments": [
            {"id": "a", "description": "\"quoted\" \u{1}", "lastPrice": 6.25, "views": 1},
            {"id": "b", "description": null, "lastPrice": null, "views": 0},
        ], "next": null})
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_popular_are_the_ten_viewed_most_with_ties_by_the_bytes_of_the_id() {
    let site = Site::without_feed().await;
    assert_eq!(site.get("/instruments/popular").await.body, "[]");
    for id in ["9", "10"] {
        site.engine.aggregator.list(id, None).unwrap();
    }
    popular_become(&site, &[("10", 0), ("9", 0)]).await;
    for number in 0..12 {
        site.engine.aggregator.list(&number.to_string(), None).unwrap();
    }
    for (id, views) in [("5", 97), ("11", 3), ("2", 3), ("7", 1)] {
        for _ in 0..views {
            site.history(id).await;
        }
    }
    // `popular` itself was called between, and counted for nobody.
    let others = ["0", "1", "10", "3", "4", "6"].map(|id| (id, 0));
    popular_become(&site, &[&[("5", 97), ("11", 3), ("2", 3), ("7", 1)][..], &others].concat()).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_popular_is_a_whole_history() {
    let site = Site::without_feed().await;
    let now = Timestamp::from_seconds(1000).unwrap();
    site.engine.clock.restart_at(now);
    site.engine.aggregator.list("a", None).unwrap();
    assert!(site.engine.aggregator.record("a", &Tick::new(now, 5.0), now).is_accepted());
    let history = site.history("a").await;
    assert_eq!(site.get("/instruments/popular").await.json(), json!([history]));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_counted_by_get_alone_and_each_answer_includes_its_own() {
    let site = Site::without_feed().await;
    site.engine.aggregator.list("BTC/USD", None).unwrap();
    for views in 1..=5 {
        assert_eq!(site.history("BTC%2FUSD").await["views"], views);
        assert_eq!(site.head("/instruments/BTC%2FUSD").await.status, 200);
        assert_eq!(site.get("/instruments/BTC").await.status, 404);
        assert_eq!(site.get("/instruments/BTC%2FUSD?fill=all").await.status, 400);
        assert_eq!(site.get("/instruments").await.json()["instruments"][0]["views"], views);
        popular_become(&site, &[("BTC/USD", views)]).await;
    }
    assert!(site.engine.aggregator.delist("BTC/USD"));
    site.engine.aggregator.list("BTC/USD", None).unwrap();
    assert_eq!(site.history("BTC%2FUSD").await["views"], 1, "a re-listed id inherits none");
    site.stop().await;
}
