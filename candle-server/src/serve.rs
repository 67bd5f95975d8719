//! Runs the server: starts the threads for the feeds and for HTTP, and stops them.

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

/// Runs a server with `settings` on `listeners` until `shutdown` resolves.
///
/// Requests in flight are finished before the function returns.
///
/// # Errors
/// See [`Backend::open`] and [`serve_backend`].
pub async fn serve(
    listeners: impl Into<Listeners>,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let listeners = listeners.into();
    let backend = Backend::open(&listeners, &settings).await?;
    serve_backend(backend, listeners, settings, shutdown).await
}

/// Runs a server for an `engine` that the caller also uses.
///
/// The caller can observe the engine, or record ticks in addition to the feeds. [`engine`](crate::backend::engine)
/// creates an engine from the same settings.
///
/// # Errors
/// See [`serve_backend`].
pub async fn serve_engine(
    engine: Arc<Engine>,
    listeners: impl Into<Listeners>,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_backend(Backend::from(engine), listeners.into(), settings, shutdown).await
}

/// Serves `backend` until `shutdown` resolves or the persistence of `backend` has ended.
///
/// The function then finishes the requests in flight and persists the last writes.
///
/// # Errors
/// Returns an error if a thread can't be started or panicked, or if the last writes can't be persisted.
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

/// Serves the current engine of `engines`, and records the quotes of the feeds in this engine.
///
/// When the engine is replaced, connections stay open, and event streams end.
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

/// Waits until the feed thread has panicked. Never returns if the feeds end normally.
///
/// After a panic, the server must stop, because its candles would not change any more.
async fn panicked(feeds: &mut Background<()>) {
    if feeds.ended().await == Ended::Returned {
        std::future::pending::<()>().await;
    }
}

/// Serves `listeners` until `shutdown` resolves.
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
        // The value never changes. `changed` returns when the sender is dropped at the shutdown.
        let _ = stopping.changed().await;
    };
    let (result, ()) = tokio::join!(serving, server(Exposure::Admin).serve(admin, stopped));
    result
}

/// Reads the feeds and records their quotes in the current engine of `engines`, until the feeds end.
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
