//! One accept loop for each thread, with connections of its own.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;

use super::handler::Handler;
use super::listener::Server;

/// Serves `listener` on `threads` threads until `shutdown`, as [`Server::serve`] does on one runtime.
///
/// Each thread has a runtime and an accept loop on a clone of the listening socket. A connection stays on the thread
/// that accepted it: no work moves between cores, which is faster than one runtime that shares its work.
///
/// # Errors
/// If a thread cannot be started, or panicked.
pub async fn serve_on_threads<H: Handler>(
    server: &Arc<Server<H>>,
    listener: TcpListener,
    threads: usize,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let listener = listener.into_std()?;
    let (stop, stopped) = watch::channel(());
    let mut workers = Vec::new();
    for number in 0..threads.max(1) {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (server, listener, stopped) = (Arc::clone(server), listener.try_clone()?, stopped.clone());
        let run = move || run(&runtime, server, listener, stopped);
        workers.push(thread::Builder::new().name(format!("http-{number}")).spawn(run)?);
    }
    drop((listener, stopped));
    shutdown.await;
    drop(stop);
    let join = || workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(panicked())));
    tokio::task::spawn_blocking(join).await?
}

fn run<H: Handler>(
    runtime: &Runtime,
    server: Arc<Server<H>>,
    listener: std::net::TcpListener,
    mut stopped: watch::Receiver<()>,
) -> io::Result<()> {
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let shutdown = async {
            // No value is ever sent: the receiver fails when the sender is dropped.
            let _ = stopped.changed().await;
        };
        server.serve(listener, shutdown).await;
        Ok(())
    })
}

fn panicked() -> io::Error {
    io::Error::other("an HTTP thread panicked")
}
