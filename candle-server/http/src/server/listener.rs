//! Accept loops within the limits, and the shutdown.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

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

/// Pause after an accept that failed for lack of descriptors or memory: long enough not to spin, short enough to go
/// unnoticed when there are some again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time after the drain for connections to close: more than a connection lingers.
const DRAIN_SLACK: Duration = Duration::from_secs(3);

/// The listening sockets of one process.
#[derive(Debug)]
pub struct Listeners {
    /// The socket for readers. Without an `admin` socket, operators use it too.
    pub public: TcpListener,
    /// The socket for operators.
    pub admin: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(public: TcpListener) -> Self {
        Self { public, admin: None }
    }
}

/// A handler, its limits and its metrics.
///
/// A server can run several accept loops: one on a multi-thread runtime, or one for each core on current-thread
/// runtimes with clones of one listening socket. The limits and the metrics apply to all of them together.
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

/// The right of one connection to be served.
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
    /// A server that calls `handler` for requests within `limits`.
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

    /// Counts in `metrics`, which several servers can share.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<ServerMetrics>) -> Self {
        self.service.metrics = metrics;
        self
    }

    /// Serves the connections of `listener` until `shutdown`.
    ///
    /// Afterwards no connection is accepted, requests in flight have [`Limits::drain_time`] to finish, and the future
    /// resolves when all connections are closed.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (stop, _) = watch::channel(());
        tokio::select! {
            () = shutdown => {}
            never = self.accept(&listener, &stop) => match never {},
        }
        drop(listener);
        // Fails only if there is no connection.
        let _ = stop.send(());
        if timeout(self.service.limits.drain_time + DRAIN_SLACK, stop.closed()).await.is_err() {
            tracing::warn!(connections = stop.receiver_count(), "connections are still open after the drain time");
        }
    }

    /// The number of connections being served.
    pub fn connections(&self) -> usize {
        self.service.limits.connections.saturating_sub(self.service.permits.available_permits())
    }

    /// The metrics of this server.
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
            // The semaphore is never closed. If it were, the connection would be dropped and the loop would go on.
            if let Ok(connection) = Arc::clone(permits).acquire_owned().await {
                metrics.connections.inc();
                let permit = Permit { _connection: connection, _ip: ip, metrics: Arc::clone(metrics) };
                tokio::spawn(Arc::clone(self).run(socket, permit, stop.subscribe()));
            }
        }
    }

    /// Waits for the next connection. The first failure and the recovery are logged.
    async fn next_socket(&self, listener: &TcpListener) -> (TcpStream, SocketAddr) {
        let mut failed: u64 = 0;
        loop {
            match listener.accept().await {
                Ok(accepted) => {
                    if failed > 0 {
                        tracing::info!(failed, "accepting connections again");
                    }
                    return accepted;
                }
                Err(error) if is_client_error(&error) => {}
                Err(error) => {
                    if failed == 0 {
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
        // The state of the connection is dropped, and a handler must leave shared state valid when it panics.
        let served = AssertUnwindSafe(connection::run(&self.service, socket, stopping)).catch_unwind().await;
        if served.is_err() {
            self.service.metrics.panics.inc();
            tracing::error!("a request handler panicked; its connection is closed");
        }
    }
}

/// Returns true if the error is about a client that disconnected before it was accepted.
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
