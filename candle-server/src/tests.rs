//! A engine that takes the place of another one, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// Far longer than anything here takes: reaching it is a failure, never a pace.
const GUARD: Duration = Duration::from_secs(30);

struct Client(TcpStream);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// What comes of a request, up to these words.
    async fn ask(&mut self, path: &str, until: &str) -> String {
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

/// A server out of one engine after another, each with an instrument of the same id.
struct Site {
    settings: Settings,
    turn: watch::Sender<Arc<Engine>>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Site {
    async fn start(flags: &[&str]) -> Self {
        let settings = Settings::from_args([&["candle-server"], flags].concat()).unwrap();
        let (turn, shown) = watch::channel(Self::engine(&settings, "before"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let serving = tokio::spawn(serve_shown(shown, listener.into(), settings.clone(), stopped));
        Self { settings, turn, address, stop, serving }
    }

    fn engine(settings: &Settings, description: &str) -> Arc<Engine> {
        let engine = engine(settings);
        engine.aggregator.list("a", Some(description)).unwrap();
        Arc::new(engine)
    }

    fn turn_to(&self, description: &str) -> Arc<Engine> {
        let engine = Self::engine(&self.settings, description);
        self.turn.send_replace(Arc::clone(&engine));
        engine
    }

    async fn stop(self) {
        drop(self.stop);
        timeout(GUARD, self.serving).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn readers_lost_their_connections_where_another_market_took_the_place_of_the_one_before() {
    // One thread accepts in order: who came before those that were answered is accepted too.
    let site = Site::start(&["--start", "manual", "--threads", "1"]).await;
    let mut silent = Client::connect(site.address).await;
    let mut used = Client::connect(site.address).await;
    let mut stream = Client::connect(site.address).await;
    used.ask("/instruments/a", "\"before\"").await;
    used.read("]}").await;
    stream.ask("/instruments/a/stream", "\"before\"").await;
    site.turn_to("after");
    // An end that was meant: its client comes again.
    stream.read("\r\n0\r\n\r\n").await;
    for client in [&mut silent, &mut used, &mut stream] {
        client.ask("/instruments/a", "\"after\"").await;
        client.read("]}").await;
    }
    let counted = silent.ask("/metrics", "# EOF").await;
    assert!(counted.contains("candle_views_total 4"), "of both markets: {counted}");
    site.stop().await;
}

#[tokio::test]
async fn feeds_were_read_into_the_market_whose_place_another_one_had_taken() {
    let flags = ["--feed", "demo:?instruments=1&rate=6000/min", "--ready-requires-feed", "--start", "manual"];
    let site = Site::start(&flags).await;
    let mut client = Client::connect(site.address).await;
    // What was started once goes on.
    client.ask("/", "started...\"").await;
    for description in ["second", "third"] {
        let engine = site.turn_to(description);
        let is_ready = async {
            // Until the turn has come, the engine before is as ready.
            while !client.ask("/instruments/a", "]}").await.contains(description) {}
            while !client.ask("/readyz", "}").await.contains("\"status\":\"ready\",\"feed\":\"live\"") {}
        };
        timeout(GUARD, is_ready).await.unwrap();
        assert!(engine.aggregator.outcomes().accepted() > 0);
    }
    site.stop().await;
}
