//! Runs one accept loop on each of several threads.

use std::io;
use std::sync::Arc;

use candle_engine::background::Background;
use futures_util::future::join_all;
use tokio::net::TcpListener;

use super::handler::Handler;
use super::listener::Server;

/// Serves `listener` on several threads until `shutdown` resolves. [`Server::serve`] does the same on one runtime.
///
/// Each of the `threads` threads has a runtime, and an accept loop on a clone of the listening socket. A connection
/// stays on the thread that accepted it. No work moves between cores, which is faster than one runtime that shares its
/// work.
///
/// # Errors
/// The error if a thread cannot be started or has panicked.
pub async fn serve_on_threads<H: Handler>(
    server: &Arc<Server<H>>,
    listener: TcpListener,
    threads: usize,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let listener = listener.into_std()?;
    let mut workers = Vec::new();
    for number in 0..threads.max(1) {
        let (server, listener) = (Arc::clone(server), listener.try_clone()?);
        let worker = Background::spawn(format!("http-{number}"), |stop| async move {
            let listener = TcpListener::from_std(listener)?;
            // The future `stop` also resolves if its sender is dropped.
            server.serve(listener, async { drop(stop.await) }).await;
            io::Result::Ok(())
        });
        workers.push(worker?);
    }
    drop(listener);
    shutdown.await;
    // All workers are signalled before the first worker is joined.
    let ended = join_all(workers.into_iter().map(Background::stop)).await;
    ended.into_iter().try_for_each(|worker| worker?)
}
