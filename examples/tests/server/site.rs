//! A server on a port of its own, what became of its ticks, and a client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Outcome;
use candle_server::Listeners;
use candle_server::engine::Engine;
use candle_server::settings::Settings;
use examples::partner::{Partner, Socket};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Far longer than anything here takes: reaching it is a failure, never a pace.
pub(crate) const GUARD: Duration = Duration::from_secs(90);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Waits for `condition`, which must come.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < GUARD, "never: {what}");
        sleep(LOOK).await;
    }
}

pub(crate) struct Site {
    pub(crate) engine: Arc<Engine>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

impl Site {
    /// A server with these flags.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let settings = Settings::from_args([&["candle-server"], flags].concat()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listeners = Listeners::from(listener);
        let opened = candle_server::open(&listeners, &settings).await.unwrap();
        let engine = Arc::clone(opened.engine());
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        Self { engine, address, stop, ended: tokio::spawn(opened.serve(listeners, settings, shutdown)) }
    }

    /// A server that reads no feed, on its feed's clock: the test fills its engine.
    pub(crate) async fn without_feed() -> Self {
        Self::start(&["--start", "manual", "--clock", "feed"]).await
    }

    /// A server that is connected to `partner`.
    pub(crate) async fn with_partner(partner: &Partner) -> Self {
        let site = Self::start(&["--feed", &format!("partner+ws://{}", partner.addr())]).await;
        connected(partner).await;
        site
    }

    /// How many ticks had this outcome.
    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        self.engine.aggregator.outcomes().of(outcome)
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.engine.aggregator.outcomes().accepted()
    }

    pub(crate) fn received(&self) -> u64 {
        self.engine.aggregator.outcomes().received()
    }

    /// Waits until exactly so many ticks were accepted.
    pub(crate) async fn wait_accepted(&self, accepted: u64) {
        eventually(&format!("{accepted} accepted"), async || self.accepted() == accepted).await;
    }

    pub(crate) async fn wait_count(&self, outcome: Outcome, count: u64) {
        eventually(&format!("{count} {outcome}"), async || self.count(outcome) == count).await;
    }

    pub(crate) async fn wait_unreadable(&self, messages: u64) {
        eventually(&format!("{messages} unreadable"), async || self.engine.unreadable() == messages).await;
    }

    /// Waits until a GET of this instrument has this status.
    pub(crate) async fn wait_status(&self, id: &str, status: u16) {
        eventually(&format!("{id} {status}"), async || self.head(&format!("/instruments/{id}")).await.status == status)
            .await;
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await
    }

    /// A HEAD, which counts nowhere.
    pub(crate) async fn head(&self, path: &str) -> Reply {
        self.ask(&format!("HEAD {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await
    }

    /// One request on a connection of its own, which it must have closed.
    pub(crate) async fn ask(&self, request: &str) -> Reply {
        let exchange = async {
            let mut socket = TcpStream::connect(self.address).await.unwrap();
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut bytes = Vec::new();
            socket.read_to_end(&mut bytes).await.unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let text = timeout(GUARD, exchange).await.unwrap_or_else(|_| panic!("no answer to {request}"));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// The history of a listed instrument; this is a view.
    pub(crate) async fn history(&self, id: &str) -> Value {
        let reply = self.get(&format!("/instruments/{id}")).await;
        assert_eq!(reply.status, 200, "{id}: {reply:?}");
        reply.json()
    }

    /// The ids of the catalogue's first page.
    pub(crate) async fn listed(&self) -> Vec<String> {
        ids(&self.get("/instruments?limit=1000").await.json()["instruments"])
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(GUARD, self.ended).await.expect("the server stops").unwrap().unwrap();
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Holds the reply to be a problem document of this status and kind.
    pub(crate) fn is_problem(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["type"], format!("urn:candle:problem:{kind}"));
        assert_eq!(document["status"], status);
        assert!(document["title"].is_string() && document["detail"].is_string());
    }
}

/// The ids of an array of objects.
pub(crate) fn ids(array: &Value) -> Vec<String> {
    array.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// The open, high, low and close of a history's last candle.
pub(crate) fn forming(history: &Value) -> [f64; 4] {
    let last = history["candles"].as_array().unwrap().last().unwrap();
    assert_eq!(last["state"], "forming");
    ["openPrice", "highPrice", "lowPrice", "closePrice"].map(|name| last[name].as_f64().unwrap())
}

/// Waits until both of the partner's sockets have a client.
pub(crate) async fn connected(partner: &Partner) {
    for socket in [Socket::Instruments, Socket::Quotes] {
        timeout(GUARD, partner.wait_for_clients(socket, 1)).await.expect("the server connects");
    }
}
