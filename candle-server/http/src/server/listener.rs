//! Accepts connections within the limits, and shuts down.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use candle_engine::throttled_log::Incident;
use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::connection;
use super::cors::Origins;
use super::handler::Handler;
use super::limits::Limits;
use super::metrics::ServerMetrics;
use super::per_ip::{ConnectionsPerIp, IpPermit};
use super::service::Service;

/// The pause of the accept loop when descriptors or memory run out. 100 ms uses little CPU, and clients do not notice
/// the delay.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The time for connections to close after the drain time: longer than the server waits for a client to close.
const DRAIN_SLACK: Duration = Duration::from_secs(3);

/// The listening sockets of one process.
#[derive(Debug)]
pub struct Listeners {
    /// The socket for readers. If `admin` is `None`, operators use this socket too.
    pub public: TcpListener,
    /// A separate socket for operators, if configured.
    pub admin: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(public: TcpListener) -> Self {
        Self { public, admin: None }
    }
}

/// An HTTP server: a handler with limits and metrics.
///
/// A server can run one accept loop on a multi-thread runtime. It can also run one accept loop for each core, with
/// clones of one listening socket on current-thread runtimes. All accept loops share the limits and the metrics.
///
/// ```no_run
/// # async fn example(handler: impl candle_http::server::Handler) -> std::io::Result<()> {
/// use std::sync::Arc;
/// use candle_http::server::{Limits, Server};
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let server = Arc::new(Server::new(handler, Limits::default()));
/// server.serve(listener, async { let _ = tokio::signal::ctrl_c().await; }).await;
/// # Ok(())
/// # }
/// ```
pub struct Server<H> {
    service: Service<H>,
    per_ip: Arc<ConnectionsPerIp>,
}

/// Counts one connection against the limits until dropped.
struct Permit {
    _connection: OwnedSemaphorePermit,
    _ip: Option<IpPermit>,
    metrics: Arc<ServerMetrics>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

impl<H: Handler> Server<H> {
    /// Creates a server that calls `handler` for requests within `limits`.
    pub fn new(handler: H, limits: Limits) -> Self {
        let permits = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        let service = Service { handler, limits, origins: Origins::Any, metrics: Arc::default(), permits };
        Self { service, per_ip: Arc::default() }
    }

    /// Lets only pages of `origins` read responses. The default is any origin.
    #[must_use]
    pub fn with_origins(mut self, origins: Origins) -> Self {
        self.service.origins = origins;
        self
    }

    /// Makes the server count in `metrics`, which several servers can share.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<ServerMetrics>) -> Self {
        self.service.metrics = metrics;
        self
    }

    /// Serves the connections of `listener` until `shutdown` resolves.
    ///
    /// After `shutdown`, no connection is accepted, and requests in flight have [`Limits::drain_time`] to finish. The
    /// returned future resolves when all connections are closed.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (stop, _) = watch::channel(());
        tokio::select! {
            () = shutdown => {}
            never = self.accept(&listener, &stop) => match never {},
        }
        drop(listener);
        // The send fails only if there is no connection.
        let _ = stop.send(());
        if timeout(self.service.limits.drain_time + DRAIN_SLACK, stop.closed()).await.is_err() {
            tracing::warn!(connections = stop.receiver_count(), "connections are still open after the drain time");
        }
    }

    /// Returns the number of connections being served.
    pub fn connections(&self) -> usize {
        self.service.limits.connections.saturating_sub(self.service.permits.available_permits())
    }

    /// Returns the metrics of the server.
    pub const fn metrics(&self) -> &Arc<ServerMetrics> {
        &self.service.metrics
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener, stop: &watch::Sender<()>) -> Infallible {
        let Service { limits, metrics, permits, .. } = &self.service;
        loop {
            let (socket, client) = self.next_socket(listener).await;
            let limit = limits.connections_per_address;
            let ip = limit.and_then(|limit| self.per_ip.acquire(client.ip(), limit));
            if limit.is_some() && ip.is_none() {
                metrics.rejected_connections.inc();
                continue;
            }
            // The semaphore is never closed. If it were closed, the connection would be dropped and the loop would
            // continue.
            if let Ok(connection) = Arc::clone(permits).acquire_owned().await {
                metrics.connections.inc();
                let permit = Permit { _connection: connection, _ip: ip, metrics: Arc::clone(metrics) };
                tokio::spawn(Arc::clone(self).run(socket, permit, stop.subscribe()));
            }
        }
    }

    /// Waits for the next connection. Logs the first failed accept and the next successful accept.
    async fn next_socket(&self, listener: &TcpListener) -> (TcpStream, SocketAddr) {
        let (failure, mut failed) = (Incident::default(), 0_u64);
        loop {
            match listener.accept().await {
                Ok(accepted) => {
                    if failure.end() {
                        tracing::info!(failed, "accepting connections again");
                    }
                    return accepted;
                }
                Err(error) if is_client_error(&error) => {}
                Err(error) => {
                    if failure.begin() {
                        tracing::warn!(%error, "cannot accept connections, retrying");
                    }
                    failed += 1;
                    self.service.metrics.accept_failures.inc();
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn run(self: Arc<Self>, socket: TcpStream, _permit: Permit, stopping: watch::Receiver<()>) {
        // After a panic, the state of the connection is dropped. A handler must leave shared state valid when it
        // panics.
        let served = AssertUnwindSafe(connection::run(&self.service, socket, stopping)).catch_unwind().await;
        if served.is_err() {
            self.service.metrics.panics.inc();
            tracing::error!("a request handler panicked; its connection is closed");
        }
    }
}

/// Returns true if the client disconnected before its connection was accepted.
fn is_client_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Service { limits, permits, .. } = &self.service;
        f.debug_struct("Server").field("limits", limits).field("permits", permits).finish_non_exhaustive()
    }
}
