//! A small WebSocket server that sends streams of frames to any number of clients and ignores their messages.

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

/// The number of frames that are queued for a client before it is disconnected: seconds of a fast stream, about 1 MB.
pub const QUEUE: usize = 16_384;

/// The time limit of one write. A client that has stopped reading is disconnected.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The time limit of a handshake. A local client needs a millisecond.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The limit on connections, well below the usual limit on open files. Further ones wait in the kernel's listen queue.
pub const MAX_CLIENTS: usize = 512;

/// The size limit of a client's message in bytes. Clients send nothing but pings.
const MAX_INCOMING: usize = 4096;

/// The pause after a failed accept, usually for want of a file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A command to all connections of a channel.
#[derive(Clone, Debug)]
enum Command {
    Send(Frame),
    Disconnect,
}

/// A stream of frames to all of its subscribers. Clones share the stream.
#[derive(Clone, Debug)]
pub struct Channel {
    commands: broadcast::Sender<Command>,
    clients: Arc<watch::Sender<usize>>,
}

impl Channel {
    /// Creates a stream without subscribers.
    pub fn new() -> Self {
        Self { commands: broadcast::Sender::new(QUEUE), clients: Arc::new(watch::Sender::new(0)) }
    }

    /// Queues `frame` for the present clients. Without a client the frame is dropped.
    pub fn send(&self, frame: Frame) {
        let _no_client = self.commands.send(Command::Send(frame));
    }

    /// Drops the connections of the present clients without a closing handshake, after the frames queued before.
    pub fn disconnect(&self) {
        let _no_client = self.commands.send(Command::Disconnect);
    }

    /// Subscribes a client: it receives `replay` first, and then the frames sent from now on.
    pub fn subscribe(&self, replay: Vec<Frame>) -> Subscription {
        let commands = self.commands.subscribe();
        self.clients.send_modify(|clients| *clients += 1);
        Subscription { replay, commands, clients: Arc::clone(&self.clients) }
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

/// One client's subscription to a [`Channel`].
#[derive(Debug)]
pub struct Subscription {
    replay: Vec<Frame>,
    commands: broadcast::Receiver<Command>,
    clients: Arc<watch::Sender<usize>>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.clients.send_modify(|clients| *clients -= 1);
    }
}

/// A listening WebSocket server. Dropping it stops the server.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    /// One task that owns the listener and all connections.
    accepting: JoinSet<()>,
}

impl Server {
    /// Listens on `addr`. `route` returns the subscription for the path of a request, or `None` for a 404.
    ///
    /// # Errors
    ///
    /// Returns an error if the address can't be bound.
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

    /// Returns the address of the listening socket.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops listening and drops all connections. The port is free when the future completes.
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

/// Serves one client until the client disconnects, falls behind or is disconnected.
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
            command = subscription.commands.recv() => match command {
                Ok(Command::Send(frame)) => {
                    if !in_time(socket.send(frame)).await {
                        return;
                    }
                }
                Ok(Command::Disconnect) | Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            },
            incoming = socket.next() => match incoming {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

/// Subscribes the client before the response, so that the client receives everything sent after its handshake.
#[expect(clippy::result_large_err, reason = "the error type is the library's")]
async fn handshake<R>(stream: TcpStream, route: R) -> Option<(WebSocketStream<TcpStream>, Subscription)>
where
    R: Fn(&str) -> Option<Subscription> + Sync,
{
    stream.set_nodelay(true).ok()?;
    let mut subscription = None;
    let respond = |request: &Request, response: Response| {
        subscription = route(request.uri().path());
        if subscription.is_some() { Ok(response) } else { Err(not_found()) }
    };
    let config = WebSocketConfig::default().max_message_size(Some(MAX_INCOMING)).max_frame_size(Some(MAX_INCOMING));
    let socket = accept_hdr_async_with_config(stream, respond, Some(config)).await.ok()?;
    Some((socket, subscription?))
}

fn not_found() -> ErrorResponse {
    let mut response = ErrorResponse::new(Some("no such stream\n".to_owned()));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Returns true if a write succeeds within [`WRITE_TIMEOUT`].
async fn in_time<E>(write: impl Future<Output = Result<(), E>>) -> bool {
    matches!(timeout(WRITE_TIMEOUT, write).await, Ok(Ok(())))
}
