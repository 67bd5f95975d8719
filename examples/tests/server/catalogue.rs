//! The list of instruments, and the most viewed ones.

use candle_core::{Tick, Timestamp};
use serde_json::{Value, json};

use crate::test_server::{TestServer, eventually, ids};

/// Percent-encodes every byte of an id.
fn escaped(id: &str) -> String {
    id.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

/// Follows `next` from the first page to the last, and returns the ids of each page.
async fn pages(server: &TestServer, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut after = String::new();
    loop {
        let page = server.get(&format!("/instruments?{query}{after}")).await.json();
        pages.push(ids(&page["instruments"]));
        match &page["next"] {
            Value::Null => return pages,
            next => after = format!("&after={}", escaped(next.as_str().unwrap())),
        }
    }
}

/// Waits until `/instruments/popular` has these ids and views. A response can be reused for up to 100 ms.
async fn wait_popular(server: &TestServer, expected: &[(&str, u64)]) {
    let id_and_views =
        |history: &Value| (history["id"].as_str().unwrap().to_owned(), history["views"].as_u64().unwrap());
    let expected: Vec<_> = expected.iter().map(|(id, views)| ((*id).to_owned(), *views)).collect();
    eventually(&format!("{expected:?}"), async || {
        let popular = server.get("/instruments/popular").await.json();
        popular.as_array().unwrap().iter().map(id_and_views).collect::<Vec<_>>() == expected
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_instruments_are_listed_page_by_page_sorted_by_the_bytes_of_their_ids() {
    let server = TestServer::without_feed().await;
    let mut all: Vec<String> = (0..2497).map(|number| number.to_string()).collect();
    all.extend(["BTC/USD", "a+b", "100%", "é", "漢字", "\"\\<&>", "?&=#", "~", "..", "popula"].map(str::to_owned));
    for id in &all {
        server.engine.aggregator.list(id, None).unwrap();
    }
    all.sort_unstable();
    let sizes = |page: usize| (0..all.len()).step_by(page).map(move |start| page.min(2507 - start)).collect::<Vec<_>>();
    for (query, page) in [("limit=1000", 1000), ("limit=836", 836), ("", 100)] {
        let pages = pages(&server, query).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes(page), "{query}");
        assert_eq!(pages.concat(), all, "{query}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_last_page_has_no_next() {
    let server = TestServer::without_feed().await;
    for id in ["a", "b", "c", "d"] {
        server.engine.aggregator.list(id, None).unwrap();
    }
    assert_eq!(pages(&server, "limit=2").await, [["a", "b"], ["c", "d"]]);
    assert_eq!(pages(&server, "limit=4").await, [["a", "b", "c", "d"]]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parameters_prefix_and_after_limit_the_list() {
    let server = TestServer::without_feed().await;
    for id in ["1", "10", "100", "11", "2", "BTC/EUR", "BTC/USD", "BTD"] {
        server.engine.aggregator.list(id, None).unwrap();
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
        let page = server.get(&format!("/instruments?{query}")).await.json();
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
        "prefix=%20a",
        "after=",
    ] {
        server.get(&format!("/instruments?{query}")).await.assert_problem(400, "bad-query");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_has_the_description_last_price_and_views_of_each_instrument() {
    let server = TestServer::without_feed().await;
    let now = Timestamp::from_seconds(1000).unwrap();
    server.engine.clock.restart_at(now);
    server.engine.aggregator.list("a", Some("\"quoted\" \u{1}")).unwrap();
    server.engine.aggregator.list("b", None).unwrap();
    for price in [5.0, 6.25] {
        assert!(server.engine.aggregator.record("a", &Tick::new(now, price), now).is_accepted());
    }
    server.history("a").await;
    assert_eq!(
        server.get("/instruments").await.json(),
        json!({"instruments": [
            {"id": "a", "description": "\"quoted\" \u{1}", "lastPrice": 6.25, "views": 1},
            {"id": "b", "description": null, "lastPrice": null, "views": 0},
        ], "next": null})
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_popular_are_the_ten_most_viewed_with_ties_sorted_by_the_bytes_of_the_id() {
    let server = TestServer::without_feed().await;
    assert_eq!(server.get("/instruments/popular").await.body, "[]");
    for id in ["9", "10"] {
        server.engine.aggregator.list(id, None).unwrap();
    }
    wait_popular(&server, &[("10", 0), ("9", 0)]).await;
    for number in 0..12 {
        server.engine.aggregator.list(&number.to_string(), None).unwrap();
    }
    for (id, views) in [("5", 97), ("11", 3), ("2", 3), ("7", 1)] {
        for _ in 0..views {
            server.history(id).await;
        }
    }
    // The requests to `/instruments/popular` counted no views.
    let others = ["0", "1", "10", "3", "4", "6"].map(|id| (id, 0));
    wait_popular(&server, &[&[("5", 97), ("11", 3), ("2", 3), ("7", 1)][..], &others].concat()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_popular_instrument_has_its_whole_history() {
    let server = TestServer::without_feed().await;
    let now = Timestamp::from_seconds(1000).unwrap();
    server.engine.clock.restart_at(now);
    server.engine.aggregator.list("a", None).unwrap();
    assert!(server.engine.aggregator.record("a", &Tick::new(now, 5.0), now).is_accepted());
    let history = server.history("a").await;
    assert_eq!(server.get("/instruments/popular").await.json(), json!([history]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_successful_get_counts_a_view_and_its_response_includes_it() {
    let server = TestServer::without_feed().await;
    server.engine.aggregator.list("BTC/USD", None).unwrap();
    for views in 1..=5 {
        assert_eq!(server.history("BTC%2FUSD").await["views"], views);
        assert_eq!(server.head("/instruments/BTC%2FUSD").await.status, 200);
        assert_eq!(server.get("/instruments/BTC").await.status, 404);
        assert_eq!(server.get("/instruments/BTC%2FUSD?fill=all").await.status, 400);
        assert_eq!(server.get("/instruments").await.json()["instruments"][0]["views"], views);
        wait_popular(&server, &[("BTC/USD", views)]).await;
    }
    assert!(server.engine.aggregator.delist("BTC/USD"));
    server.engine.aggregator.list("BTC/USD", None).unwrap();
    assert_eq!(server.history("BTC%2FUSD").await["views"], 1, "an id that is listed again starts without views");
    server.stop().await;
}
