//! A server on a port of its own, and clients that speak bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use candle_server::http::{Answer, Body, Limits, Origins, Server, Verb, json};
use candle_server::route::Route;
use futures_util::stream;
use hyper::{HeaderMap, Response};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Far longer than anything here takes: reaching it is a failure, never a pace.
pub(crate) const GUARD: Duration = Duration::from_secs(30);
/// A body that no pair of socket buffers holds.
pub(crate) const LARGE: usize = 32 << 20;

/// One part of a body without end.
const DROP: [u8; 4096] = [b'.'; 4096];

/// Answers with the route's own words, in JSON; some ids do more.
pub(crate) struct Fake {
    answered: Mutex<Vec<String>>,
    in_answer: AtomicUsize,
    poured: Arc<AtomicUsize>,
    release: Mutex<Receiver<()>>,
}

impl Fake {
    /// The ids and routes answered so far, in order.
    pub(crate) fn answered(&self) -> Vec<String> {
        self.answered.lock().unwrap().clone()
    }

    /// Bytes of the id `flood` that were asked for.
    pub(crate) fn poured(&self) -> usize {
        self.poured.load(Ordering::SeqCst)
    }

    /// Answers begun and held back by the id `wait`.
    pub(crate) fn waiting(&self) -> usize {
        self.in_answer.load(Ordering::SeqCst)
    }
}

/// What a test holds of the answerer: it lives as long as the server.
pub(crate) struct Shared(pub(crate) Arc<Fake>);

impl Answer for Shared {
    fn answer(&self, verb: Verb, route: &Route<'_>, _: &HeaderMap) -> Response<Body> {
        let id = match route {
            Route::History { id, .. } => id.to_string(),
            other => format!("{other:?}"),
        };
        self.0.answered.lock().unwrap().push(format!("{verb:?} {id}"));
        match id.as_str() {
            "panic" => panic!("asked to"),
            "wait" => {
                self.0.in_answer.fetch_add(1, Ordering::SeqCst);
                self.0.release.lock().unwrap().recv_timeout(GUARD).unwrap();
            }
            "flood" => {
                let poured = Arc::clone(&self.0.poured);
                return Response::new(Body::events(stream::repeat_with(move || {
                    poured.fetch_add(DROP.len(), Ordering::SeqCst);
                    Bytes::from_static(&DROP)
                })));
            }
            "large" => return json(vec![b' '; LARGE]),
            _ => {}
        }
        json(format!("{id:?}"))
    }
}

pub(crate) struct Site {
    pub(crate) server: Arc<Server<Shared>>,
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
            answered: Mutex::default(),
            in_answer: AtomicUsize::new(0),
            poured: Arc::default(),
            release: Mutex::new(held),
        });
        let server = Arc::new(Server::new(Shared(Arc::clone(&fake)), limits).with_origins(origins));
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

    /// One good request on a connection of its own, answered.
    pub(crate) fn is_fine(&self) {
        let mut client = self.connect();
        client.send("GET /instruments/good HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "\"good\""));
    }

    /// Asks the server to stop, without waiting.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the server has stopped.
    pub(crate) fn wait_stopped(self) {
        self.runtime.block_on(async { tokio::time::timeout(GUARD, self.ended).await }).unwrap().unwrap();
        assert!(TcpStream::connect(self.address).is_err(), "the port is closed");
    }
}

/// Waits for `condition`, which must come.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < GUARD, "never: {what}");
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

    /// Holds the reply to be a problem document of this status and kind.
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

    /// Sends what the server still takes; it may have closed already.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.socket.write_all(bytes.as_ref());
    }

    /// The next response, head and body.
    pub(crate) fn response(&mut self) -> Reply {
        let mut reply = self.head();
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        reply.body = vec![0; length];
        self.socket.read_exact(&mut reply.body).unwrap();
        reply
    }

    /// The next response's head; no body is read.
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

    /// Everything until the server closes; a reset is a close.
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
