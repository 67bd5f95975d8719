//! A server with a fake handler on a port of its own, and clients that write raw bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use candle_server::route::Route;
use candle_server::router::{RouteHandler, Router};
use candle_server::server::{Body, Limits, Origins, Server, json};
use futures_util::stream;
use hyper::{HeaderMap, Method, Response};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The timeout of every wait: far longer than a passing test takes.
pub(crate) const GUARD: Duration = Duration::from_secs(30);
/// Bytes of a body that exceeds both socket buffers.
pub(crate) const LARGE: usize = 32 << 20;

/// One part of an endless body.
const PART: [u8; 4096] = [b'.'; 4096];

/// A handler that returns the id or the route as JSON. Some ids do more.
pub(crate) struct Fake {
    handled: Mutex<Vec<String>>,
    waiting: AtomicUsize,
    polled_bytes: Arc<AtomicUsize>,
    release: Mutex<Receiver<()>>,
}

impl Fake {
    /// The methods and ids of all handled requests, in order.
    pub(crate) fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().clone()
    }

    /// Bytes of the id `flood` that the server has polled.
    pub(crate) fn polled_bytes(&self) -> usize {
        self.polled_bytes.load(Ordering::SeqCst)
    }

    /// Requests of the id `wait` that are blocked.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

/// The fake handler, shared with the test.
pub(crate) struct Shared(pub(crate) Arc<Fake>);

impl RouteHandler for Shared {
    fn respond(&self, method: &Method, route: &Route<'_>, _: &HeaderMap) -> Response<Body> {
        let id = match route {
            Route::History { id, .. } => id.to_string(),
            other => format!("{other:?}"),
        };
        self.0.handled.lock().unwrap().push(format!("{method} {id}"));
        match id.as_str() {
            "panic" => panic!("requested by the test"),
            "wait" => {
                self.0.waiting.fetch_add(1, Ordering::SeqCst);
                self.0.release.lock().unwrap().recv_timeout(GUARD).unwrap();
            }
            "flood" => {
                let polled_bytes = Arc::clone(&self.0.polled_bytes);
                return Response::new(Body::stream(stream::repeat_with(move || {
                    polled_bytes.fetch_add(PART.len(), Ordering::SeqCst);
                    Bytes::from_static(&PART)
                })));
            }
            "large" => return json(vec![b' '; LARGE]),
            _ => {}
        }
        json(format!("{id:?}"))
    }
}

pub(crate) struct Site {
    pub(crate) server: Arc<Server<Router<Shared>>>,
    pub(crate) fake: Arc<Fake>,
    pub(crate) release: SyncSender<()>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
    runtime: Runtime,
}

impl Site {
    pub(crate) fn start(limits: Limits) -> Self {
        Self::start_for(limits, Origins::Any)
    }

    pub(crate) fn start_for(limits: Limits, origins: Origins) -> Self {
        let (release, held) = sync_channel(8);
        let fake = Arc::new(Fake {
            handled: Mutex::default(),
            waiting: AtomicUsize::new(0),
            polled_bytes: Arc::default(),
            release: Mutex::new(held),
        });
        let server = Arc::new(Server::new(Router::new(Shared(Arc::clone(&fake))), limits).with_origins(origins));
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = runtime.spawn(Arc::clone(&server).serve(listener, async {
            let _ = stopped.await;
        }));
        Self { server, fake, release, address, stop: Some(stop), ended, runtime }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends a good request on a new connection, and checks the response.
    pub(crate) fn is_fine(&self) {
        let mut client = self.connect();
        client.send("GET /instruments/good HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "\"good\""));
    }

    /// Starts the shutdown of the server.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the server has stopped.
    pub(crate) fn wait_stopped(self) {
        self.runtime.block_on(async { tokio::time::timeout(GUARD, self.ended).await }).unwrap().unwrap();
        assert!(TcpStream::connect(self.address).is_err(), "the port is closed");
    }
}

/// Waits until `condition` is true.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < GUARD, "timeout: {what}");
        std::thread::yield_now();
    }
}

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Checks that the reply is a problem document of this status and kind.
    pub(crate) fn is_problem(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(document["type"], format!("urn:candle:problem:{kind}"));
        assert_eq!(document["status"], status);
        assert!(document["title"].is_string() && document["detail"].is_string());
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(GUARD)).unwrap();
        socket.set_write_timeout(Some(GUARD)).unwrap();
        Self { socket }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes, even if the server has closed the connection.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.socket.write_all(bytes.as_ref());
    }

    /// Reads the next response, head and body.
    pub(crate) fn response(&mut self) -> Reply {
        let mut reply = self.head();
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        reply.body = vec![0; length];
        self.socket.read_exact(&mut reply.body).unwrap();
        reply
    }

    /// Reads the head of the next response.
    pub(crate) fn head(&mut self) -> Reply {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head, body: Vec::new() }
    }

    /// Reads until the server closes or resets the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.socket.read_to_end(&mut bytes) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("the server did not close: {error}"),
            _ => bytes,
        }
    }

    pub(crate) fn finish_sending(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}
