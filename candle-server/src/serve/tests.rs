//! Tests that replace the engine of a running server, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::backend::engine;

/// The maximum time for any step: 30 s. A longer step is a failure.
const GUARD: Duration = Duration::from_secs(30);

struct Client(TcpStream);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Sends a request, and returns the response up to `until`.
    async fn get(&mut self, path: &str, until: &str) -> String {
        self.0.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        self.read(until).await
    }

    async fn read(&mut self, until: &str) -> String {
        let mut text = String::new();
        while !text.contains(until) {
            let byte = timeout(GUARD, self.0.read_u8()).await.unwrap();
            text.push(byte.unwrap_or_else(|_| panic!("closed after {text:?}")).into());
        }
        text
    }
}

/// A server with an engine that a test can replace. Each engine has an instrument with the same id.
struct TestServer {
    settings: Settings,
    engines: watch::Sender<Arc<Engine>>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl TestServer {
    async fn start(flags: &[&str]) -> Self {
        let settings = Settings::from_args([&["candle-server"], flags].concat()).unwrap();
        let (sender, engines) = watch::channel(Self::engine(&settings, "before"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let serving = tokio::spawn(serve_engines(engines, listener.into(), settings.clone(), stopped));
        Self { settings, engines: sender, address, stop, serving }
    }

    fn engine(settings: &Settings, description: &str) -> Arc<Engine> {
        let engine = engine(settings);
        engine.aggregator.list("a", Some(description)).unwrap();
        Arc::new(engine)
    }

    fn replace_engine(&self, description: &str) -> Arc<Engine> {
        let engine = Self::engine(&self.settings, description);
        self.engines.send_replace(Arc::clone(&engine));
        engine
    }

    async fn stop(self) {
        drop(self.stop);
        timeout(GUARD, self.serving).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn connections_stay_open_and_streams_end_when_the_engine_is_replaced() {
    // One thread accepts connections in order. So a connection that was opened before an answered connection is
    // accepted too.
    let server = TestServer::start(&["--start", "manual", "--threads", "1"]).await;
    let mut silent = Client::connect(server.address).await;
    let mut used = Client::connect(server.address).await;
    let mut stream = Client::connect(server.address).await;
    used.get("/instruments/a", "\"before\"").await;
    used.read("]}").await;
    stream.get("/instruments/a/stream", "\"before\"").await;
    server.replace_engine("after");
    // The stream ends with the last chunk, so its client reconnects.
    stream.read("\r\n0\r\n\r\n").await;
    for client in [&mut silent, &mut used, &mut stream] {
        client.get("/instruments/a", "\"after\"").await;
        client.read("]}").await;
    }
    let metrics = silent.get("/metrics", "# EOF").await;
    assert!(metrics.contains("candle_views_total 4"), "the views of both engines: {metrics}");
    server.stop().await;
}

#[tokio::test]
async fn feeds_run_into_the_engine_that_replaces_another() {
    let flags = ["--feed", "demo:?instruments=1&rate=6000/min", "--ready-requires-feed", "--start", "manual"];
    let server = TestServer::start(&flags).await;
    let mut client = Client::connect(server.address).await;
    // This request starts the feeds, which run into each later engine.
    client.get("/", "started...\"").await;
    for description in ["second", "third"] {
        let engine = server.replace_engine(description);
        let is_ready = async {
            // Until the replacement, the previous engine still answers, and is ready too.
            while !client.get("/instruments/a", "]}").await.contains(description) {}
            while !client.get("/readyz", "}").await.contains("\"status\":\"ready\",\"feed\":\"live\"") {}
        };
        timeout(GUARD, is_ready).await.unwrap();
        assert!(engine.aggregator.outcomes().accepted() > 0);
    }
    server.stop().await;
}
