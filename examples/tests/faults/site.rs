//! A server in this process, asked over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, Timestamp};
use candle_server::clock::{Clock, ClockMode};
use candle_server::engine::Engine;
use candle_server::settings::Settings;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

/// How long anything is waited for: it comes within a few seconds, or, on a machine that is very busy, a few more.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct Site {
    pub(crate) engine: Arc<Engine>,
    addr: SocketAddr,
}

impl Site {
    /// A server with these feeds, which comes back to the first after two seconds.
    pub(crate) async fn start(feeds: &[String]) -> Self {
        Self::on_clock(feeds, Clock::new(ClockMode::Wall), &["--fail-back-after", "2s"]).await
    }

    /// A server whose candles run on this clock.
    pub(crate) async fn on_clock(feeds: &[String], clock: Clock, flags: &[&str]) -> Self {
        let mut args = [&["candle-server", "--listen", "127.0.0.1:0"], flags].concat();
        args.extend(feeds.iter().flat_map(|feed| ["--feed", feed]));
        let settings = Settings::from_args(args).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let engine = Engine::new(Aggregator::new(settings.core()), clock).with_feeds(settings.watched());
        let engine = Arc::new(engine);
        tokio::spawn(candle_server::serve_engine(Arc::clone(&engine), listener, settings, std::future::pending()));
        Self { engine, addr }
    }

    /// The JSON at `path`.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.answer(path).await.1
    }

    /// The status and the JSON at `path`.
    pub(crate) async fn answer(&self, path: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    /// How many quotes all candles have together.
    pub(crate) async fn quotes(&self) -> u64 {
        let histories = self.get("/instruments/popular").await;
        let candles = histories.as_array().unwrap().iter().flat_map(|history| history["candles"].as_array().unwrap());
        candles.map(|candle| candle["quotes"].as_u64().unwrap()).sum()
    }

    /// Waits until `/feed` is as it should be, and returns it.
    pub(crate) async fn feed(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        self.until("/feed", what, |_, feed| is_so(feed)).await
    }

    /// Waits until `/readyz` answers 200.
    pub(crate) async fn ready(&self) {
        self.until("/readyz", "ready", |status, _| status == 200).await;
    }

    async fn until(&self, path: &str, what: &str, is_so: impl Fn(u16, &Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, answer) = self.answer(path).await;
            if is_so(status, &answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "never so: {what}: {answer:#}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the feed at `place` is active and in `state`.
    pub(crate) async fn active(&self, place: usize, state: &str) -> Value {
        let is_so = |feed: &Value| feed["feeds"][place]["active"] == true && feed["state"] == state;
        self.feed(&format!("feed {place} active and {state}"), is_so).await
    }

    /// Waits until the feed at `place` has brought quotes for long enough that its rate is known.
    pub(crate) async fn settled(&self, place: usize) {
        let is_so = |feed: &Value| feed["feeds"][place]["staleAfter"] == 2.0 && feed["state"] == "live";
        self.feed("its rate known", is_so).await;
    }
}

/// The reason of the gap that lasts at `at` or begins after it, and whether it is over. No other gap may have come of a
/// fault: the rest are pauses of this process, in which a feed seems to trickle or to be silent.
pub(crate) fn gap_of_fault(feed: &Value, at: Timestamp) -> (&str, bool) {
    let at = at.as_micros() as f64 / 1e6;
    let is_pause = |gap: &Value| ["slow", "silent"].map(Value::from).contains(&gap["reason"]);
    let was_over = |gap: &&Value| gap["to"].as_f64().is_some_and(|to| to < at);
    let (before, rest): (Vec<&Value>, Vec<&Value>) = feed["gaps"].as_array().unwrap().iter().partition(was_over);
    let [of_fault, after @ ..] = &rest[..] else { panic!("no gap: {feed:#}") };
    assert!(before.iter().chain(after).all(|gap| is_pause(gap)), "nothing else has failed: {feed:#}");
    (of_fault["reason"].as_str().unwrap(), !of_fault["to"].is_null())
}
