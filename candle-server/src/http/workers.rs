//! One thread for each core, each with connections of its own.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;

use super::{Answer, Server};

/// Serves `listener` on `threads` threads until `shutdown`, as [`Server::serve`] does on one runtime.
///
/// Each has a runtime and an accept loop of its own on a clone of the one listening socket, and a connection stays on
/// the thread that accepted it: nothing is handed from core to core, which measures faster than one runtime that
/// shares its work among threads.
///
/// # Errors
/// Where a thread can't be started.
pub async fn serve_on<A: Answer>(
    server: &Arc<Server<A>>,
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
        let work = move || work(&runtime, server, listener, stopped);
        workers.push(thread::Builder::new().name(format!("http-{number}")).spawn(work)?);
    }
    drop((listener, stopped));
    shutdown.await;
    drop(stop);
    let join = || workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(panicked())));
    tokio::task::spawn_blocking(join).await?
}

fn work<A: Answer>(
    runtime: &Runtime,
    server: Arc<Server<A>>,
    listener: std::net::TcpListener,
    mut stopped: watch::Receiver<()>,
) -> io::Result<()> {
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let shutdown = async {
            // Changed never; gone when it is time.
            let _ = stopped.changed().await;
        };
        server.serve(listener, shutdown).await;
        Ok(())
    })
}

fn panicked() -> io::Error {
    io::Error::other("a worker panicked")
}
