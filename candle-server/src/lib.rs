//! A price stream in, one-minute candles out over HTTP.
//!
//! A tick comes down: [`feed`] reads a socket, [`message`] decodes it, the intake gives it its time and number, and
//! [`candle_core::Aggregator`] folds it into its candle. A request comes up:
//! [`candle_http`] finds its route, reads the [`engine::Engine`] and writes the JSON. Ingestion has a thread and a runtime
//! of its own, so that no reader can delay a quote.
#![forbid(unsafe_code)]

pub mod health;
#[cfg(feature = "store")]
mod recovery;
pub mod settings;
pub use candle_engine::{self as engine, clock, feeds, journal};
pub use candle_feed::{self as feed, message};
pub use candle_http as http;
pub use candle_http::server::Listeners;
#[cfg(feature = "store")]
pub use candle_store as store;

use std::io;
use std::sync::Arc;

use candle_core::Aggregator;
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::settings::{HttpSettings, Settings, StartChoice};
use candle_http::api::Api;
use candle_http::endpoints::Endpoints;
use candle_http::metrics::Metrics;
use candle_http::route::Route;
use candle_http::router::{Exposure, Router};
use candle_http::server::{Server, ServerMetrics, serve_on_threads};

/// Reads the feeds and serves `listeners` until `shutdown`; then finishes the requests in flight and returns.
///
/// # Errors
/// As [`open`]'s and [`Opened::serve`]'s.
pub async fn serve(
    listeners: impl Into<Listeners>,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let listeners = listeners.into();
    open(&listeners, &settings).await?.serve(listeners, settings, shutdown).await
}

/// A engine that is ready to be served, and what keeps it.
#[derive(Debug)]
pub struct Opened {
    engine: Arc<Engine>,
    #[cfg(feature = "store")]
    keeping: Option<store::WriterHandle>,
    #[cfg(feature = "nats")]
    cluster: Option<candle_cluster::ClusterHandle>,
}

/// Makes the engine of `settings`: an empty one, or what an earlier process kept. While that is read, whoever connects to
/// `listeners` hears that the server is recovering.
///
/// # Errors
/// Where the store can't be used, or no thread can be started.
#[cfg_attr(
    not(any(feature = "nats", feature = "store")),
    expect(clippy::unused_async, reason = "only a store and a log are waited for")
)]
pub async fn open(listeners: &Listeners, settings: &Settings) -> io::Result<Opened> {
    #[cfg(feature = "nats")]
    if let Some(url) = &settings.log {
        let (engine, cluster) = read_log(listeners, settings, url).await?;
        return Ok(Opened { cluster: Some(cluster), ..Opened::of(engine) });
    }
    #[cfg(feature = "nats")]
    if let Some(url) = &settings.cluster.publish {
        let journal = Arc::new(candle_cluster::gateway_journal());
        let engine = Arc::new(engine(settings).with_journal(Arc::clone(&journal)));
        let cluster = candle_cluster::start_gateway(Arc::clone(&engine), journal, gateway_config(settings, url))?;
        return Ok(Opened { cluster: Some(cluster), ..Opened::of(engine) });
    }
    #[cfg(feature = "store")]
    if let Some(options) = settings.store.options() {
        let (engine, keeping) = recovery::recover(listeners, settings, options).await?;
        return Ok(Opened { keeping: Some(keeping), ..Opened::of(engine) });
    }
    #[cfg(not(any(feature = "nats", feature = "store")))]
    let _ = listeners;
    Ok(Opened::of(Arc::new(engine(settings))))
}

impl Opened {
    /// A engine that nothing keeps.
    fn of(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            #[cfg(feature = "store")]
            keeping: None,
            #[cfg(feature = "nats")]
            cluster: None,
        }
    }

    /// The engine, to see what becomes of each tick.
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Reads the feeds and serves `listeners` until `shutdown`; then finishes the requests in flight, keeps what came last,
    /// and returns.
    ///
    /// # Errors
    /// Where no thread can be started, or one panicked.
    pub async fn serve(
        self,
        listeners: Listeners,
        settings: Settings,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        #[cfg(feature = "nats")]
        if let Some(cluster) = self.cluster {
            return serve_cluster(self.engine, cluster, listeners, settings, shutdown).await;
        }
        let served = serve_engine(self.engine, listeners, settings, shutdown).await;
        #[cfg(feature = "store")]
        if let Some(keeping) = self.keeping {
            keeping.stop().await?;
        }
        served
    }
}

/// Starts a read node of the log at `url` and waits for its first engine. Until then every request on `listeners` gets a
/// 503 answer.
///
/// # Errors
/// The log is unusable, or a thread can't be started.
#[cfg(feature = "nats")]
async fn read_log(
    listeners: &Listeners,
    settings: &Settings,
    url: &candle_cluster::LogUrl,
) -> io::Result<(Arc<Engine>, candle_cluster::ClusterHandle)> {
    let mut starting = candle_http::starting::serve(listeners, "The server is catching up with the log.")?;
    let feeds = settings.clone();
    let config = settings.cluster.cluster_config(url, settings.core());
    let mut cluster = candle_cluster::start_read_node(&config, move || feeds.watched().with_log_coverage())?;
    let engine = cluster.next_engine().await;
    starting.shutdown().await;
    if let Some(engine) = engine {
        return Ok((engine, cluster));
    }
    let ended = cluster.stop().await;
    Err(ended.err().unwrap_or_else(|| io::Error::other("the read node ended before it caught up with the log")))
}

/// The configuration of a gateway of the log at `url`.
#[cfg(feature = "nats")]
fn gateway_config(settings: &Settings, url: &candle_cluster::LogUrl) -> candle_cluster::GatewayConfig {
    use candle_cluster::Catalogue;
    let announces = |feed: &feed::url::FeedUrl| matches!(feed, feed::url::FeedUrl::Partner { .. });
    let catalogue = if settings.feeds.iter().all(announces) { Catalogue::Announced } else { Catalogue::Unannounced };
    let cluster = settings.cluster.cluster_config(url, settings.core());
    candle_cluster::GatewayConfig { cluster, streams: settings.cluster.stream_options(), catalogue }
}

/// Serves `engine` on `listeners`, and each later engine of `cluster`, until `shutdown` or until the cluster has ended.
/// When an engine is replaced, connections stay open and streams end.
///
/// # Errors
/// As for [`serve_engine`] and [`candle_cluster::ClusterHandle::stop`].
#[cfg(feature = "nats")]
async fn serve_cluster(
    engine: Arc<Engine>,
    mut cluster: candle_cluster::ClusterHandle,
    listeners: Listeners,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (current, engines) = watch::channel(engine);
    let shutdown = async {
        let ended = async {
            while let Some(next) = cluster.next_engine().await {
                current.send_replace(next);
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = ended => {}
        }
    };
    let served = serve_shown(engines, listeners, settings, shutdown).await;
    cluster.stop().await?;
    served
}

/// The empty engine that `settings` ask for.
pub fn engine(settings: &Settings) -> Engine {
    let engine = Engine::new(Aggregator::new(settings.core()), Clock::new(settings.clock_mode()));
    engine.with_feeds(settings.watched())
}

/// The same out of a `engine` that the caller holds as well, to see what became of each tick, or to list and record
/// beside the feeds. It is one that [`engine()`] made of the same settings.
///
/// # Errors
/// Where no thread can be started.
pub async fn serve_engine(
    engine: Arc<Engine>,
    listeners: impl Into<Listeners>,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (_never_another, shown) = watch::channel(engine);
    serve_shown(shown, listeners.into(), settings, shutdown).await
}

/// The same out of whichever engine is `shown`, and from the feeds into that one.
async fn serve_shown(
    shown: watch::Receiver<Arc<Engine>>,
    listeners: Listeners,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let http_metrics = Arc::new(ServerMetrics::new(&Route::FREQUENT));
    let endpoints = |engine: &Arc<Engine>| {
        let api = Api::new(Arc::clone(engine));
        Endpoints {
            api: api.with_readiness(settings.readiness()).with_streams(settings.max_streams),
            metrics: Metrics::new(Arc::clone(engine), Arc::clone(&http_metrics)),
        }
    };
    let mut others = shown.clone();
    let mut engine = Arc::clone(&others.borrow_and_update());
    if settings.start == StartChoice::Auto {
        engine.start();
    }
    let (turn, current) = watch::channel(endpoints(&engine));
    let turning = async {
        while others.changed().await.is_ok() {
            let next = Arc::clone(&others.borrow_and_update());
            if engine.is_started() {
                next.start();
            }
            turn.send_replace(endpoints(&next));
            engine = next;
        }
        std::future::pending().await
    };
    let (stop, stopped) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let ingestion = spawn_ingestion(shown.clone(), settings.clone(), stopped, ended)?;
    let shutdown = async {
        tokio::select! {
            () = shutdown => {}
            () = broken(end) => tracing::error!("ingestion broke off; the server stops"),
            never = turning => match never {},
        }
        shown.borrow().begin_shutdown();
    };
    serve_http(current, &http_metrics, listeners, &settings.http, shutdown).await?;
    // Fails only if the feed came to its end before.
    let _ = stop.send(());
    tokio::task::spawn_blocking(move || ingestion.join()).await?.map_err(|_| io::Error::other("ingestion panicked"))
}

/// Serves `listeners` until `shutdown`.
async fn serve_http(
    endpoints: watch::Receiver<Endpoints>,
    metrics: &Arc<ServerMetrics>,
    listeners: Listeners,
    settings: &HttpSettings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let exposure = if listeners.admin.is_some() { Exposure::Public } else { Exposure::All };
    let server = |exposure| {
        let router = Router::new(endpoints.clone()).with_exposure(exposure);
        let server = Server::new(router, settings.limits());
        Arc::new(server.with_origins(settings.cors.clone()).with_metrics(Arc::clone(metrics)))
    };
    let (stop, mut stopping) = watch::channel(());
    let shutdown = async {
        shutdown.await;
        drop(stop);
    };
    let public = server(exposure);
    let serving = serve_on_threads(&public, listeners.public, settings.threads(), shutdown);
    let Some(admin) = listeners.admin else { return serving.await };
    let stopped = async {
        // Changed never; gone when it is time.
        let _ = stopping.changed().await;
    };
    let (result, ()) = tokio::join!(serving, server(Exposure::Admin).serve(admin, stopped));
    result
}

/// Waits until ingestion is gone without having said that it came to its end: it panicked. To serve on would be to serve
/// candles that stand still.
async fn broken(end: oneshot::Receiver<()>) {
    if end.await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Runs the feeds on a thread of their own, with a runtime of their own, until they end or `stopped` says so.
fn spawn_ingestion(
    shown: watch::Receiver<Arc<Engine>>,
    settings: Settings,
    stopped: oneshot::Receiver<()>,
    ended: oneshot::Sender<()>,
) -> io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ingest = move || {
        runtime.block_on(async {
            tokio::select! {
                () = ingest(shown, &settings) => {}
                _ = stopped => {}
            }
        });
        // Reading standard input can't be called off; it must not keep the process.
        runtime.shutdown_background();
        // Fails only if nobody serves any more.
        let _ = ended.send(());
    };
    std::thread::Builder::new().name("ingestion".into()).spawn(ingest)
}

/// Reads the feeds into whichever engine is `shown`, until they end.
async fn ingest(mut shown: watch::Receiver<Arc<Engine>>, settings: &Settings) {
    loop {
        let engine = Arc::clone(&shown.borrow_and_update());
        let ended = async {
            #[cfg(feature = "nats")]
            if let Some(log) = &settings.log {
                return feed::watch_external(&engine, &log.to_string()).await;
            }
            feed::run(Arc::clone(&engine), &settings.feeds).await;
        };
        tokio::select! {
            () = ended => return,
            Ok(()) = shown.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests;
