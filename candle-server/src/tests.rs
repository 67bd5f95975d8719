//! A market that takes the place of another one, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
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

#[tokio::test]
async fn readers_lost_their_connections_where_another_market_took_the_place_of_the_one_before() {
    let settings = Settings::from_args(["candle-server", "--start", "manual"]).unwrap();
    let one = |description| {
        let market = market(&settings);
        market.aggregator.list("a", Some(description)).unwrap();
        Arc::new(market)
    };
    let (turn, shown) = watch::channel(one("before"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let serving = tokio::spawn(serve_shown(shown, listener.into(), settings.clone(), stopped));

    let [mut silent, mut used, mut stream] =
        [Client::connect(address).await, Client::connect(address).await, Client::connect(address).await];
    used.ask("/instruments/a", "\"before\"").await;
    used.read("]}").await;
    stream.ask("/instruments/a/stream", "\"before\"").await;
    turn.send_replace(one("after"));
    // An end that was meant: its client comes again.
    stream.read("\r\n0\r\n\r\n").await;
    for client in [&mut silent, &mut used, &mut stream] {
        client.ask("/instruments/a", "\"after\"").await;
        client.read("]}").await;
    }
    let counted = silent.ask("/metrics", "# EOF").await;
    assert!(counted.contains("candle_views_total 4"), "of both markets: {counted}");

    drop(stop);
    timeout(GUARD, serving).await.unwrap().unwrap().unwrap();
}
