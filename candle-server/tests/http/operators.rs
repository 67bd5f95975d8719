//! Tests of the features for operators: metrics and the admin listener.

use std::net::SocketAddr;

use candle_server::settings::Settings;
use candle_server::{Listeners, serve};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Client, Reply, eventually};

/// A real server that listens on one port, or on two ports. Its default feed is the demo.
pub(crate) struct RealServer {
    pub(crate) public: SocketAddr,
    admin: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
    runtime: Runtime,
}

#[derive(Clone, Copy, PartialEq)]
enum Ports {
    One,
    Two,
}

impl RealServer {
    fn start(ports: Ports) -> Self {
        Self::with_flags(ports, &[])
    }

    /// Starts a server that reads `feed` instead of the demo.
    pub(crate) fn reading(feed: &str) -> Self {
        Self::with_flags(Ports::One, &["--feed", feed])
    }

    fn with_flags(ports: Ports, flags: &[&str]) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listen = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let listeners = Listeners { public: listen(), admin: (ports == Ports::Two).then(listen) };
        let public = listeners.public.local_addr().unwrap();
        let admin = listeners.admin.as_ref().map(|admin| admin.local_addr().unwrap());
        let settings = Settings::from_args([&["candle-server", "--threads", "2"], flags].concat()).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = runtime.spawn(serve(listeners, settings, async {
            let _ = stopped.await;
        }));
        Self { public, admin, stop, ended, runtime }
    }

    pub(crate) fn stop(self) {
        drop(self.stop);
        self.runtime.block_on(self.ended).unwrap().unwrap();
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Reply {
    let mut client = Client::connect(address);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.response()
}

#[test]
fn metrics_count_requests_views_and_ticks() {
    let server = RealServer::start(Ports::One);
    let listed = || get(server.public, "/instruments").text().matches("\"id\"").count();
    eventually("all ten are listed", || listed() == 10);
    assert_eq!(get(server.public, "/instruments/4").status, 200);
    assert_eq!(get(server.public, "/instruments/nobody").status, 404);
    assert_eq!(get(server.public, "/nowhere").status, 404);
    assert_eq!(get(server.public, "/instruments/popular").status, 200);
    let metrics = get(server.public, "/metrics");
    assert_eq!(metrics.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert_eq!(metrics.header("cache-control"), Some("no-store"));
    let text = metrics.text().to_owned();
    for line in [
        "candle_http_requests_total{route=\"history\",method=\"GET\",status=\"200\"} 1",
        "candle_http_requests_total{route=\"popular\",method=\"GET\",status=\"200\"} 1",
        "candle_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 1",
        "candle_views_total 1",
        "candle_http_panics_total 0",
        "candle_unreadable_total 0",
        "candle_ticks_total{outcome=\"too_old\"} 0",
        "candle_instrument_status{status=\"live\"} 10",
        "candle_instrument_status{status=\"stale\"} 0",
        "candle_feed_repeated_quotes_total 0",
        "candle_http_request_seconds_bucket{le=\"+Inf\"}",
        "candle_http_connections ",
    ] {
        assert!(text.contains(line), "no {line} in:\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    server.stop();
}

#[test]
fn only_the_admin_listener_serves_the_routes_of_operators() {
    let server = RealServer::start(Ports::Two);
    let admin = server.admin.unwrap();
    get(server.public, "/metrics").is_problem(404, "unknown-path");
    assert_eq!(get(server.public, "/openapi.yaml").status, 200);
    assert_eq!(get(server.public, "/").status, 200);
    assert_eq!(get(admin, "/metrics").status, 200);
    for path in ["/", "/instruments", "/instruments/popular", "/instruments/4", "/openapi.yaml"] {
        get(admin, path).is_problem(404, "unknown-path");
    }
    for address in [server.public, admin] {
        assert_eq!([get(address, "/livez").status, get(address, "/readyz").status], [200, 200]);
    }
    server.stop();
}
