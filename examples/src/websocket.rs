//! A small WebSocket server that sends one stream to any number of clients and listens to none of them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

pub use tokio_tungstenite::tungstenite::Message as Frame;

/// Frames a client may lag behind before it is cut: seconds of a fast stream, about a megabyte of queue.
pub const QUEUE: usize = 16_384;

/// How long one write may take before its client is cut: a reader that has stopped must not keep its connection.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take over its handshake; a local one needs a millisecond.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections served at once; further ones wait in the listen queue of the kernel. Well below the usual limit on open files.
pub const MAX_CLIENTS: usize = 512;

/// Bytes of the largest message a client may send: clients have nothing to say beyond a ping.
const MAX_INCOMING: usize = 4096;

/// How long to leave the listener alone when the machine has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection does next.
#[derive(Clone, Debug)]
enum Order {
    Send(Frame),
    Cut,
}

/// One stream of frames, sent to whoever is subscribed at the time.
///
/// A clone is another handle on the same stream.
#[derive(Clone, Debug)]
pub struct Channel {
    orders: broadcast::Sender<Order>,
    clients: Arc<watch::Sender<usize>>,
}

impl Channel {
    /// A stream that nobody listens to yet.
    pub fn new() -> Self {
        Self { orders: broadcast::Sender::new(QUEUE), clients: Arc::new(watch::Sender::new(0)) }
    }

    /// Queues `frame` for every client of the moment; without any it is gone.
    pub fn send(&self, frame: Frame) {
        let _nobody_listens = self.orders.send(Order::Send(frame));
    }

    /// Drops the connection of every client of the moment, without a closing handshake, once it has been sent what was
    /// queued before.
    pub fn cut(&self) {
        let _nobody_listens = self.orders.send(Order::Cut);
    }

    /// A client's place in the stream, from now on; it is sent `replay` first.
    pub fn subscribe(&self, replay: Vec<Frame>) -> Subscription {
        let orders = self.orders.subscribe();
        self.clients.send_modify(|clients| *clients += 1);
        Subscription { replay, orders, clients: Arc::clone(&self.clients) }
    }

    /// Waits until the stream has exactly `count` clients.
    pub async fn wait_for_clients(&self, count: usize) {
        let waited = self.clients.subscribe().wait_for(|clients| *clients == count).await.is_ok();
        debug_assert!(waited, "self holds the sender, so it outlives the wait");
    }
}

impl Default for Channel {
    fn default() -> Self {
        Self::new()
    }
}

/// One client's place in a [`Channel`].
#[derive(Debug)]
pub struct Subscription {
    replay: Vec<Frame>,
    orders: broadcast::Receiver<Order>,
    clients: Arc<watch::Sender<usize>>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.clients.send_modify(|clients| *clients -= 1);
    }
}

/// A listening WebSocket server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    /// One task, which owns the listener and every connection: when it goes, they go.
    accepting: JoinSet<()>,
}

impl Server {
    /// Listens on `addr`, and gives each client the stream that `route` names for the path of its request; where that
    /// is `None` the client gets a 404.
    ///
    /// # Errors
    ///
    /// The address can't be bound.
    pub async fn bind<R>(addr: impl ToSocketAddrs, route: R) -> io::Result<Self>
    where
        R: Fn(&str) -> Option<Subscription> + Clone + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, route));
        Ok(Self { addr, accepting })
    }

    /// The address that it listens on.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops listening and drops every connection; the port is free when this returns.
    pub async fn shutdown(mut self) {
        self.accepting.shutdown().await;
    }
}

async fn accept<R>(listener: TcpListener, route: R)
where
    R: Fn(&str) -> Option<Subscription> + Clone + Send + Sync + 'static,
{
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            Some(_ended) = clients.join_next() => {}
            accepted = listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                Ok((stream, _)) => {
                    clients.spawn(serve(stream, route.clone()));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

/// Serves one client until it leaves, falls behind or is cut.
async fn serve<R>(stream: TcpStream, route: R)
where
    R: Fn(&str) -> Option<Subscription> + Sync,
{
    let Ok(Some((mut socket, mut subscription))) = timeout(HANDSHAKE_TIMEOUT, handshake(stream, route)).await else {
        return;
    };
    for frame in std::mem::take(&mut subscription.replay) {
        if !in_time(socket.feed(frame)).await {
            return;
        }
    }
    if !in_time(socket.flush()).await {
        return;
    }
    loop {
        tokio::select! {
            order = subscription.orders.recv() => match order {
                Ok(Order::Send(frame)) => {
                    if !in_time(socket.send(frame)).await {
                        return;
                    }
                }
                Ok(Order::Cut) | Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            },
            incoming = socket.next() => match incoming {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

/// Subscribes before it answers, so that a client misses nothing that is sent after its handshake.
#[expect(clippy::result_large_err, reason = "the error type is the library's")]
async fn handshake<R>(stream: TcpStream, route: R) -> Option<(WebSocketStream<TcpStream>, Subscription)>
where
    R: Fn(&str) -> Option<Subscription> + Sync,
{
    stream.set_nodelay(true).ok()?;
    let mut subscription = None;
    let answer = |request: &Request, response: Response| {
        subscription = route(request.uri().path());
        if subscription.is_some() { Ok(response) } else { Err(not_found()) }
    };
    let config = WebSocketConfig::default().max_message_size(Some(MAX_INCOMING)).max_frame_size(Some(MAX_INCOMING));
    let socket = accept_hdr_async_with_config(stream, answer, Some(config)).await.ok()?;
    Some((socket, subscription?))
}

fn not_found() -> ErrorResponse {
    let mut response = ErrorResponse::new(Some("no such stream\n".to_owned()));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Whether a write succeeded within [`WRITE_TIMEOUT`].
async fn in_time<E>(write: impl Future<Output = Result<(), E>>) -> bool {
    matches!(timeout(WRITE_TIMEOUT, write).await, Ok(Ok(())))
}
