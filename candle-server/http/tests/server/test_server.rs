//! A test server with a fake handler. Each server listens on its own port.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use candle_http::route::Route;
use candle_http::router::{RouteHandler, Router};
use candle_http::server::{Body, Limits, Origins, Server, json};
use futures_util::stream;
use hyper::{HeaderMap, Method, Response};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Client, GUARD};

/// The size of a body that is larger than both socket buffers (bytes).
pub(crate) const LARGE: usize = 32 << 20;

/// One part of the endless body that the id `flood` returns.
const PART: [u8; 4096] = [b'.'; 4096];

/// A handler that returns the id or the route as JSON.
///
/// The ids `panic`, `wait`, `flood` and `large` panic, block, or return a large body.
pub(crate) struct Fake {
    handled: Mutex<Vec<String>>,
    waiting: AtomicUsize,
    polled_bytes: Arc<AtomicUsize>,
    release: Mutex<Receiver<()>>,
}

impl Fake {
    /// Returns the methods and ids of all handled requests, in order.
    pub(crate) fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().clone()
    }

    /// Returns the number of bytes that the server has polled from bodies of the id `flood`.
    pub(crate) fn polled_bytes(&self) -> usize {
        self.polled_bytes.load(Ordering::SeqCst)
    }

    /// Returns the number of requests of the id `wait` that have blocked.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

/// A reference to the fake handler, which the test also has.
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

pub(crate) struct TestServer {
    pub(crate) inner: Arc<Server<Router<Shared>>>,
    pub(crate) fake: Arc<Fake>,
    pub(crate) release: SyncSender<()>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
    runtime: Runtime,
}

impl TestServer {
    pub(crate) fn start(limits: Limits) -> Self {
        Self::with_origins(limits, Origins::Any)
    }

    pub(crate) fn with_origins(limits: Limits, origins: Origins) -> Self {
        let (release, released) = sync_channel(8);
        let fake = Arc::new(Fake {
            handled: Mutex::default(),
            waiting: AtomicUsize::new(0),
            polled_bytes: Arc::default(),
            release: Mutex::new(released),
        });
        let inner = Arc::new(Server::new(Router::new(Shared(Arc::clone(&fake))), limits).with_origins(origins));
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = runtime.spawn(Arc::clone(&inner).serve(listener, async {
            let _ = stopped.await;
        }));
        Self { inner, fake, release, address, stop: Some(stop), ended, runtime }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends a valid request on a new connection, and asserts that the response is correct.
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
