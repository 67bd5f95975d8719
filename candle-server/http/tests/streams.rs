//! Tests event streams over real sockets.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Aggregator, Tick};
use candle_engine::Engine;
use candle_engine::clock::{Clock, ClockMode};
use candle_http::api::Api;
use candle_http::router::Router;
use candle_http::server::{Limits, Server};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// The timeout of every wait. A passing test takes far less time.
const GUARD: Duration = Duration::from_secs(30);

struct TestServer {
    engine: Arc<Engine>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: tokio::task::JoinHandle<()>,
    runtime: Runtime,
}

impl TestServer {
    /// Starts a server with one instrument, `BTC/USD`, that has one quote.
    fn start(stream_limit: usize) -> Self {
        let engine = Arc::new(Engine::new(Aggregator::default(), Clock::new(ClockMode::Feed)));
        engine.aggregator.list("BTC/USD", Some("</script>\n")).unwrap();
        let api = Api::new(Arc::clone(&engine)).with_streams(stream_limit);
        let server = Arc::new(Server::new(Router::new(api), Limits::default()));
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = runtime.spawn(server.serve(listener, async {
            let _ = stopped.await;
        }));
        let server = Self { engine, address, stop: Some(stop), ended, runtime };
        server.tick(42.5);
        server
    }

    fn tick(&self, price: f64) {
        let now = self.engine.clock.now();
        assert!(self.engine.aggregator.record("BTC/USD", &Tick::new(now, price), now).is_accepted());
    }

    fn views(&self) -> u64 {
        self.engine.aggregator.history("BTC/USD").unwrap().views
    }

    fn request(&self, request: &str) -> Reply {
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(GUARD)).unwrap();
        socket.write_all(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "closed after {head:?}");
        }
        Reply { head: head.to_lowercase(), reader }
    }
}

struct Reply {
    head: String,
    reader: BufReader<TcpStream>,
}

impl Reply {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn json(mut self) -> Value {
        let length = self.head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.reader.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// Reads the next chunk of the body. The last chunk is empty.
    fn chunk(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        self.reader.read_exact(&mut chunk).unwrap();
        String::from_utf8(chunk[..length].to_vec()).unwrap()
    }

    /// Reads chunks until one contains an event with this name. Returns the data of that event.
    fn event(&mut self, name: &str) -> Value {
        let start = Instant::now();
        loop {
            let chunk = self.chunk();
            let head = format!("event: {name}\n");
            if let Some(block) = chunk.split("\n\n").find(|block| block.starts_with(&head)) {
                return serde_json::from_str(block.split_once("\ndata: ").unwrap().1).unwrap();
            }
            assert!(start.elapsed() < GUARD, "timeout: {name}");
        }
    }
}

#[test]
fn a_stream_starts_with_a_snapshot_that_equals_a_read_and_continues_with_changes() {
    let server = TestServer::start(10);
    let mut stream = server.request("GET /instruments/BTC%2FUSD/stream");
    assert_eq!(stream.status(), 200);
    for header in ["content-type: text/event-stream", "x-accel-buffering: no", "no-store", "no-transform"] {
        assert!(stream.head.contains(header), "{}", stream.head);
    }
    assert!(!stream.head.contains("content-encoding"));
    let mut snapshot = stream.event("snapshot");
    assert_eq!((server.views(), &snapshot["views"]), (1, &1.into()));
    let mut read = server.request("GET /instruments/BTC%2FUSD").json();
    for history in [&mut snapshot, &mut read] {
        history["views"] = Value::Null;
        history["asOf"] = Value::Null;
    }
    assert_eq!(snapshot, read);
    server.tick(43.5);
    let change = stream.event("candle");
    assert_eq!((&change["id"], &change["candle"]["closePrice"]), (&"BTC/USD".into(), &43.5.into()));
}

#[test]
fn a_stream_over_the_limit_is_rejected_until_another_ends() {
    let server = TestServer::start(1);
    let mut first = server.request("GET /stream?ids=BTC%2FUSD,unknown");
    first.event("snapshot");
    let rejected = server.request("GET /stream?ids=BTC%2FUSD");
    assert_eq!(rejected.status(), 503);
    assert_eq!(rejected.json()["type"], "urn:candle:problem:too-many-streams");
    drop(first);
    let start = Instant::now();
    while server.request("GET /stream?ids=BTC%2FUSD").status() != 200 {
        assert!(start.elapsed() < GUARD, "timeout: the permit of the closed stream is not free");
    }
}

#[test]
fn unknown_instruments_have_no_stream_and_a_head_opens_none() {
    let server = TestServer::start(1);
    for path in ["/instruments/nope/stream", "/stream?ids=nope,neither"] {
        let rejected = server.request(&format!("GET {path}"));
        assert_eq!(rejected.status(), 404);
        assert_eq!(rejected.json()["type"], "urn:candle:problem:unknown-instrument");
    }
    for _ in 0..3 {
        let head = server.request("HEAD /instruments/BTC%2FUSD/stream");
        assert_eq!(head.status(), 200);
        assert!(head.head.contains("content-type: text/event-stream"));
    }
    assert_eq!(server.views(), 0);
}

#[test]
fn streams_end_at_once_when_the_server_stops() {
    let mut server = TestServer::start(10);
    let mut stream = server.request("GET /instruments/BTC%2FUSD/stream");
    stream.event("snapshot");
    let start = Instant::now();
    drop(server.stop.take());
    while !stream.chunk().is_empty() {}
    assert!(start.elapsed() < Limits::default().drain_time / 2, "the streams end before the drain time");
    drop(stream);
    server.runtime.block_on(async { tokio::time::timeout(GUARD, server.ended).await }).unwrap().unwrap();
}
