//! A server on a free port, with access to its engine, and an HTTP client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Outcome;
use candle_server::Listeners;
use candle_server::backend::Backend;
use candle_server::engine::Engine;
use candle_server::serve::serve_backend;
use candle_server::settings::Settings;
use examples::partner::{Partner, Socket};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// The time limit of a wait: far longer than any wait takes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(90);
/// The time between two checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Waits until `condition` is true, and fails after [`TIMEOUT`].
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < TIMEOUT, "timeout: {what}");
        sleep(POLL_INTERVAL).await;
    }
}

pub(crate) struct TestServer {
    pub(crate) engine: Arc<Engine>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

impl TestServer {
    /// Starts a server with these flags.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let settings = Settings::from_args([&["candle-server"], flags].concat()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listeners = Listeners::from(listener);
        let backend = Backend::open(&listeners, &settings).await.unwrap();
        let engine = Arc::clone(backend.engine());
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        Self { engine, address, stop, ended: tokio::spawn(serve_backend(backend, listeners, settings, shutdown)) }
    }

    /// Starts a server that reads no feed, on the feed's clock. The test records into its engine.
    pub(crate) async fn without_feed() -> Self {
        Self::start(&["--start", "manual", "--clock", "feed"]).await
    }

    /// Starts a server and waits until it is connected to `partner`.
    pub(crate) async fn with_partner(partner: &Partner) -> Self {
        let server = Self::start(&["--feed", &format!("partner+ws://{}", partner.addr())]).await;
        connected(partner).await;
        server
    }

    /// Returns the number of ticks with this outcome.
    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        self.engine.aggregator.outcomes().of(outcome)
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.engine.aggregator.outcomes().accepted()
    }

    pub(crate) fn received(&self) -> u64 {
        self.engine.aggregator.outcomes().received()
    }

    /// Waits until exactly `accepted` ticks are accepted.
    pub(crate) async fn wait_accepted(&self, accepted: u64) {
        eventually(&format!("{accepted} accepted"), async || self.accepted() == accepted).await;
    }

    pub(crate) async fn wait_count(&self, outcome: Outcome, count: u64) {
        eventually(&format!("{count} {outcome}"), async || self.count(outcome) == count).await;
    }

    pub(crate) async fn wait_unreadable(&self, messages: u64) {
        eventually(&format!("{messages} unreadable"), async || self.engine.unreadable() == messages).await;
    }

    /// Waits until the status of an instrument's history is `status`.
    pub(crate) async fn wait_status(&self, id: &str, status: u16) {
        eventually(&format!("{id} {status}"), async || self.head(&format!("/instruments/{id}")).await.status == status)
            .await;
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await
    }

    /// Sends a HEAD request, which counts no view.
    pub(crate) async fn head(&self, path: &str) -> Response {
        self.request(&format!("HEAD {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await
    }

    /// Sends one request that closes its connection, and reads the response to the end.
    pub(crate) async fn request(&self, request: &str) -> Response {
        let exchange = async {
            let mut socket = TcpStream::connect(self.address).await.unwrap();
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut bytes = Vec::new();
            socket.read_to_end(&mut bytes).await.unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let text = timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| panic!("no response to {request}"));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Response { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Returns the history of a listed instrument. Counts a view.
    pub(crate) async fn history(&self, id: &str) -> Value {
        let response = self.get(&format!("/instruments/{id}")).await;
        assert_eq!(response.status, 200, "{id}: {response:?}");
        response.json()
    }

    /// Returns the ids of the first page of `/instruments`.
    pub(crate) async fn listed(&self) -> Vec<String> {
        ids(&self.get("/instruments?limit=1000").await.json()["instruments"])
    }

    /// Stops the server and waits until it has stopped.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(TIMEOUT, self.ended).await.expect("the server stops").unwrap().unwrap();
    }
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that the response is a problem document with this status and type.
    pub(crate) fn assert_problem(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["type"], format!("urn:candle:problem:{kind}"));
        assert_eq!(document["status"], status);
        assert!(document["title"].is_string() && document["detail"].is_string());
    }
}

/// Returns the ids of an array of objects.
pub(crate) fn ids(array: &Value) -> Vec<String> {
    array.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// Returns open, high, low and close of a history's forming candle.
pub(crate) fn forming(history: &Value) -> [f64; 4] {
    let last = history["candles"].as_array().unwrap().last().unwrap();
    assert_eq!(last["state"], "forming");
    ["openPrice", "highPrice", "lowPrice", "closePrice"].map(|name| last[name].as_f64().unwrap())
}

/// Waits until both of the partner's sockets have a client.
pub(crate) async fn connected(partner: &Partner) {
    for socket in [Socket::Instruments, Socket::Quotes] {
        timeout(TIMEOUT, partner.wait_for_clients(socket, 1)).await.expect("the server connects");
    }
}
