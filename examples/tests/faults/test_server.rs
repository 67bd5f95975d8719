//! A server in this process, with an HTTP client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, Timestamp};
use candle_server::engine::Engine;
use candle_server::engine::clock::{Clock, ClockMode};
use candle_server::settings::Settings;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

/// The time limit of a wait: far longer than any wait takes, also on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(40);

pub(crate) struct TestServer {
    pub(crate) engine: Arc<Engine>,
    addr: SocketAddr,
}

impl TestServer {
    /// Starts a server with these feeds, which fails back to the first feed after two seconds.
    pub(crate) async fn start(feeds: &[String]) -> Self {
        Self::on_clock(feeds, Clock::new(ClockMode::Wall), &["--fail-back-after", "2s"]).await
    }

    /// Starts a server on this clock, with further flags.
    pub(crate) async fn on_clock(feeds: &[String], clock: Clock, flags: &[&str]) -> Self {
        let mut args = [&["candle-server", "--listen", "127.0.0.1:0"], flags].concat();
        args.extend(feeds.iter().flat_map(|feed| ["--feed", feed]));
        let settings = Settings::from_args(args).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let engine = Engine::new(Aggregator::new(settings.core()), clock).with_feeds(settings.monitored_feeds());
        let engine = Arc::new(engine);
        tokio::spawn(candle_server::serve_engine(Arc::clone(&engine), listener, settings, std::future::pending()));
        Self { engine, addr }
    }

    /// Returns the JSON at `path`.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.get_with_status(path).await.1
    }

    /// Returns the status and the JSON at `path`.
    pub(crate) async fn get_with_status(&self, path: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    /// Returns the number of quotes in all candles together.
    pub(crate) async fn quotes(&self) -> u64 {
        let histories = self.get("/instruments/popular").await;
        let candles = histories.as_array().unwrap().iter().flat_map(|history| history["candles"].as_array().unwrap());
        candles.map(|candle| candle["quotes"].as_u64().unwrap()).sum()
    }

    /// Waits until `condition` is true for the JSON at `/feed`, and returns that JSON.
    pub(crate) async fn feed(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.until("/feed", what, |_, feed| condition(feed)).await
    }

    /// Waits until `/readyz` returns 200.
    pub(crate) async fn ready(&self) {
        self.until("/readyz", "ready", |status, _| status == 200).await;
    }

    async fn until(&self, path: &str, what: &str, condition: impl Fn(u16, &Value) -> bool) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let (status, body) = self.get_with_status(path).await;
            if condition(status, &body) {
                return body;
            }
            assert!(Instant::now() < deadline, "timeout: {what}: {body:#}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the feed at `index` is active and in `state`.
    pub(crate) async fn active(&self, index: usize, state: &str) -> Value {
        let condition = |feed: &Value| feed["feeds"][index]["active"] == true && feed["state"] == state;
        self.feed(&format!("feed {index} active and {state}"), condition).await
    }

    /// Waits until the rate of the feed at `index` is known.
    pub(crate) async fn settled(&self, index: usize) {
        let condition = |feed: &Value| feed["feeds"][index]["staleAfter"] == 2.0 && feed["state"] == "live";
        self.feed("the rate is known", condition).await;
    }
}

/// Returns the reason of the first gap that ends at `at` or later, and true if the gap has ended.
///
/// Asserts that no other gap was caused by a fault. Pauses of this process cause further gaps, in which a feed seems
/// slow or silent.
pub(crate) fn gap_of_fault(feed: &Value, at: Timestamp) -> (&str, bool) {
    let at = at.as_micros() as f64 / 1e6;
    let is_pause = |gap: &Value| ["slow", "silent"].map(Value::from).contains(&gap["reason"]);
    let was_over = |gap: &&Value| gap["to"].as_f64().is_some_and(|to| to < at);
    let (before, rest): (Vec<&Value>, Vec<&Value>) = feed["gaps"].as_array().unwrap().iter().partition(was_over);
    let [of_fault, after @ ..] = &rest[..] else { panic!("no gap: {feed:#}") };
    assert!(before.iter().chain(after).all(|gap| is_pause(gap)), "another gap was caused by a fault: {feed:#}");
    (of_fault["reason"].as_str().unwrap(), !of_fault["to"].is_null())
}
