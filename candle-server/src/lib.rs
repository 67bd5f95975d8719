//! A price stream in, one-minute candles out over HTTP.
//!
//! A tick comes down: [`feed`] reads a socket, [`message`] decodes it, the intake gives it its time and number, and
//! [`candle_core::Aggregator`] folds it into its candle. A request comes up: [`http`] reads it, [`route`] says what it
//! asks for, [`api`] copies that out of the [`market::Market`], and [`json`] and [`rendering`] write it down. Ingestion has a thread and a
//! runtime of its own, so that no reader can delay a quote.
#![forbid(unsafe_code)]

pub mod api;
pub mod clock;
pub mod document;
pub mod feed;
pub mod http;
pub mod json;
pub mod lightweight;
pub mod market;
pub mod message;
#[cfg(feature = "page")]
pub mod page;
pub mod problem;
pub mod rendering;
pub mod route;
pub mod settings;
pub mod sse;
pub mod streams;
pub mod watch;

use std::io;
use std::sync::Arc;

use candle_core::Aggregator;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::api::Api;
use crate::clock::Clock;
use crate::http::{Limits, Server};
use crate::market::Market;
use crate::settings::{Settings, StartChoice};

/// Reads the feeds and serves `listener` until `shutdown`; then finishes the requests in flight and returns.
///
/// # Errors
/// Where no thread can be started.
pub async fn serve(listener: TcpListener, settings: Settings, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let market = Market::new(Aggregator::new(settings.core()), Clock::new(settings.clock_source()));
    serve_market(Arc::new(market), listener, settings, shutdown).await
}

/// The same out of a `market` that the caller holds as well, to see what became of each tick, or to list and record
/// beside the feeds. It must have been made for the clock and the limits of `settings`.
///
/// # Errors
/// Where no thread can be started.
pub async fn serve_market(
    market: Arc<Market>,
    listener: TcpListener,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    if settings.start == StartChoice::Auto {
        market.start();
    }
    let most_streams = settings.max_streams;
    let (stop, stopped) = oneshot::channel();
    let ingestion = spawn_ingestion(Arc::clone(&market), settings, stopped)?;
    let server = Arc::new(Server::new(Api::new(Arc::clone(&market)).with_streams(most_streams), Limits::default()));
    let shutdown = async {
        shutdown.await;
        market.stop();
    };
    server.serve(listener, shutdown).await;
    // Fails only if the feed came to its end before.
    let _ = stop.send(());
    tokio::task::spawn_blocking(move || ingestion.join()).await?.map_err(|_| io::Error::other("ingestion panicked"))
}

/// Runs the feeds on a thread of their own, with a runtime of their own, until they end or `stopped` says so.
fn spawn_ingestion(
    market: Arc<Market>,
    settings: Settings,
    stopped: oneshot::Receiver<()>,
) -> io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ingest = move || {
        runtime.block_on(async {
            tokio::select! {
                () = feed::run(market, &settings.feeds) => {}
                _ = stopped => {}
            }
        });
        // Reading standard input can't be called off; it must not keep the process.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name("ingestion".into()).spawn(ingest)
}
