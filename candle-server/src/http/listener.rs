//! Accepting connections within the limits, and letting them go at the end.

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

use super::addresses::{Addresses, Held};
use super::{Answer, Counts, Limits, Origins, connection};

/// Pause after an accept that failed for want of descriptors or memory: long enough not to spin, short enough to pass
/// unnoticed once some are free again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time beyond the drain for connections to close: more than they linger.
const DRAIN_SLACK: Duration = Duration::from_secs(3);

/// The HTTP face of one process: what it answers, its limits, and what happened so far.
///
/// One server can run several accept loops: one on a multi-thread runtime, or one per core on current-thread runtimes
/// with clones of one listening socket. Limits and counts hold for all of them together.
///
/// ```no_run
/// # async fn example(answer: impl candle_server::http::Answer) -> std::io::Result<()> {
/// use std::sync::Arc;
/// use candle_server::http::{Limits, Server};
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let server = Arc::new(Server::new(answer, Limits::default()));
/// server.serve(listener, async { let _ = tokio::signal::ctrl_c().await; }).await;
/// # Ok(())
/// # }
/// ```
pub struct Server<A> {
    answer: A,
    limits: Limits,
    origins: Origins,
    seats: Arc<Semaphore>,
    addresses: Arc<Addresses>,
    counts: Arc<Counts>,
}

/// What a connection holds while it is served.
struct Seat {
    _permit: OwnedSemaphorePermit,
    _address: Option<Held>,
    counts: Arc<Counts>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.counts.connections.dec();
    }
}

impl<A: Answer> Server<A> {
    /// A server that answers with `answer` within `limits`.
    pub fn new(answer: A, limits: Limits) -> Self {
        Self {
            answer,
            limits,
            origins: Origins::Any,
            seats: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            addresses: Arc::default(),
            counts: Arc::default(),
        }
    }

    /// The same, whose answers pages of these origins may read.
    #[must_use]
    pub fn with_origins(self, origins: Origins) -> Self {
        Self { origins, ..self }
    }

    /// The same, counting here.
    #[must_use]
    pub fn with_counts(self, counts: Arc<Counts>) -> Self {
        Self { counts, ..self }
    }

    /// Serves the connections of `listener` until `shutdown`; then stops accepting, lets requests in flight finish
    /// within [`Limits::drain_time`], and returns when all connections are closed.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (stop, _) = watch::channel(());
        tokio::select! {
            () = shutdown => {}
            never = self.accept(&listener, &stop) => match never {},
        }
        drop(listener);
        // Fails only if there is no connection left to hear it.
        let _ = stop.send(());
        if timeout(self.limits.drain_time + DRAIN_SLACK, stop.closed()).await.is_err() {
            tracing::warn!(connections = stop.receiver_count(), "connections are still busy after the drain");
        }
    }

    /// Connections being served now.
    pub fn connections(&self) -> usize {
        self.limits.connections.saturating_sub(self.seats.available_permits())
    }

    /// What happened so far.
    pub const fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    pub(super) fn answer(&self) -> &A {
        &self.answer
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn is_full(&self) -> bool {
        self.seats.available_permits() == 0
    }

    pub(super) fn origins(&self) -> &Origins {
        &self.origins
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener, stop: &watch::Sender<()>) -> Infallible {
        loop {
            let (socket, client) = self.next_socket(listener).await;
            let most = self.limits.connections_per_address;
            let address = most.and_then(|most| self.addresses.take(client.ip(), most));
            if most.is_some() && address.is_none() {
                self.counts.turned_away.inc();
                continue;
            }
            // The semaphore is never closed; should it be, the connection goes unserved and the loop lives.
            if let Ok(permit) = Arc::clone(&self.seats).acquire_owned().await {
                self.counts.connections.inc();
                let seat = Seat { _permit: permit, _address: address, counts: Arc::clone(&self.counts) };
                tokio::spawn(Arc::clone(self).seated(socket, seat, stop.subscribe()));
            }
        }
    }

    /// The next connection, however long it takes. Trouble is logged when it begins and when it ends.
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
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if failed == 0 {
                        tracing::warn!(%error, "can't accept connections, trying on");
                    }
                    failed += 1;
                    self.counts.accept_failures.inc();
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn seated(self: Arc<Self>, socket: TcpStream, _seat: Seat, stopping: watch::Receiver<()>) {
        // Safe to carry on: the connection's own state is dropped, and what answers share must bear an unwind anyway.
        let served = AssertUnwindSafe(connection::run(&*self, socket, stopping)).catch_unwind().await;
        if served.is_err() {
            self.counts.panics.inc();
            tracing::error!("an answer panicked; its connection is closed");
        }
    }
}

/// Whether the error concerns a client that left before it was accepted, and not us.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

impl<A> fmt::Debug for Server<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("limits", &self.limits).field("seats", &self.seats).finish_non_exhaustive()
    }
}
