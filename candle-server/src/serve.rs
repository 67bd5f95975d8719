//! The running server: threads for the feeds and for HTTP, and their shutdown.

use std::io;
use std::sync::Arc;

use candle_engine::Engine;
use candle_engine::background::{Background, Ended};
use candle_http::api::Api;
use candle_http::endpoints::Endpoints;
use candle_http::metrics::Metrics;
use candle_http::route::Route;
use candle_http::router::{Exposure, Router};
use candle_http::server::{Listeners, Server, ServerMetrics, serve_on_threads};
use tokio::sync::watch;

use crate::backend::Backend;
use crate::settings::{HttpSettings, Settings, StartChoice};

/// Serves `listeners` from the feeds of `settings` until `shutdown`. Requests in flight are finished before it returns.
///
/// # Errors
/// As for [`Backend::open`] and [`serve_backend`].
pub async fn serve(
    listeners: impl Into<Listeners>,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let listeners = listeners.into();
    let backend = Backend::open(&listeners, &settings).await?;
    serve_backend(backend, listeners, settings, shutdown).await
}

/// Serves an `engine` that the caller also holds, to observe it or to write to it beside the feeds.
/// [`engine`](crate::backend::engine) creates such an engine from the same settings.
///
/// # Errors
/// As for [`serve_backend`].
pub async fn serve_engine(
    engine: Arc<Engine>,
    listeners: impl Into<Listeners>,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_backend(Backend::from(engine), listeners.into(), settings, shutdown).await
}

/// Serves `backend` until `shutdown` or until its persistence has ended. Requests in flight are finished, and the last
/// writes are persisted.
///
/// # Errors
/// If a thread can't be started or panicked, or the last writes can't be persisted.
pub async fn serve_backend(
    mut backend: Backend,
    listeners: Listeners,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (current, engines) = watch::channel(Arc::clone(backend.engine()));
    let shutdown = async {
        let ended = async {
            while let Some(next) = backend.next_engine().await {
                current.send_replace(next);
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = ended => {}
        }
    };
    let served = serve_engines(engines, listeners, settings, shutdown).await;
    backend.stop().await?;
    served
}

/// Serves the engine that `engines` holds at the time of each request, and runs the feeds into it. When the engine is
/// replaced, connections stay open and streams end.
async fn serve_engines(
    engines: watch::Receiver<Arc<Engine>>,
    listeners: Listeners,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let server_metrics = Arc::new(ServerMetrics::new(&Route::FREQUENT));
    let endpoints = |engine: &Arc<Engine>| {
        let api = Api::new(Arc::clone(engine));
        Endpoints {
            api: api.with_readiness(settings.readiness()).with_streams(settings.max_streams),
            metrics: Metrics::new(Arc::clone(engine), Arc::clone(&server_metrics)),
        }
    };
    let mut replacements = engines.clone();
    let mut engine = Arc::clone(&replacements.borrow_and_update());
    if settings.start == StartChoice::Auto {
        engine.start();
    }
    let (sender, current) = watch::channel(endpoints(&engine));
    let replace = async {
        while replacements.changed().await.is_ok() {
            let next = Arc::clone(&replacements.borrow_and_update());
            if engine.is_started() {
                next.start();
            }
            sender.send_replace(endpoints(&next));
            engine = next;
        }
        std::future::pending().await
    };
    let (feed_engines, feed_settings) = (engines.clone(), settings.clone());
    let mut feeds = Background::spawn("ingestion", |stop| async move {
        tokio::select! {
            () = run_feeds(feed_engines, &feed_settings) => {}
            _ = stop => {}
        }
    })?;
    let shutdown = async {
        tokio::select! {
            () = shutdown => {}
            () = panicked(&mut feeds) => tracing::error!("the feed thread panicked; the server stops"),
            never = replace => match never {},
        }
        engines.borrow().begin_shutdown();
    };
    serve_http(current, &server_metrics, listeners, &settings.http, shutdown).await?;
    feeds.stop().await
}

/// Waits until the feeds have panicked. To serve on would be to serve candles that stand still. Feeds may end.
async fn panicked(feeds: &mut Background<()>) {
    if feeds.ended().await == Ended::Returned {
        std::future::pending::<()>().await;
    }
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
        // Never changes: the sender is dropped at the shutdown.
        let _ = stopping.changed().await;
    };
    let (result, ()) = tokio::join!(serving, server(Exposure::Admin).serve(admin, stopped));
    result
}

/// Runs the feeds into the engine that `engines` holds, until they end.
async fn run_feeds(mut engines: watch::Receiver<Arc<Engine>>, settings: &Settings) {
    loop {
        let engine = Arc::clone(&engines.borrow_and_update());
        let ended = async {
            #[cfg(feature = "nats")]
            if let Some(log) = &settings.cluster.read {
                return candle_feed::watch_external(&engine, &log.to_string()).await;
            }
            candle_feed::run(Arc::clone(&engine), &settings.feeds).await;
        };
        tokio::select! {
            () = ended => return,
            Ok(()) = engines.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests;
