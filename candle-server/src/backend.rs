//! The engine to serve, and its persistence: none, a store, or a cluster.

use std::io;
use std::sync::Arc;

use candle_core::Aggregator;
use candle_engine::Engine;
use candle_engine::clock::Clock;
use candle_http::server::Listeners;

use crate::settings::Settings;

/// An engine with its persistence.
#[derive(Debug)]
pub struct Backend {
    engine: Arc<Engine>,
    persistence: Persistence,
}

#[derive(Debug)]
enum Persistence {
    Memory,
    #[cfg(feature = "store")]
    Store(candle_store::WriterHandle),
    #[cfg(feature = "nats")]
    Cluster(candle_cluster::ClusterHandle),
}

/// Creates the empty engine that `settings` describe.
pub fn engine(settings: &Settings) -> Engine {
    let engine = Engine::new(Aggregator::new(settings.core()), Clock::new(settings.clock_mode()));
    engine.with_feeds(settings.monitored_feeds())
}

/// Creates a backend without persistence.
impl From<Arc<Engine>> for Backend {
    fn from(engine: Arc<Engine>) -> Self {
        Self { engine, persistence: Persistence::Memory }
    }
}

impl Backend {
    /// Opens the backend that `settings` describe. While a store or a log is being read, every request on `listeners` is
    /// answered with 503.
    ///
    /// # Errors
    /// If the store or the log can't be used, or a thread can't be started.
    #[cfg_attr(
        not(any(feature = "nats", feature = "store")),
        expect(clippy::unused_async, unused_variables, reason = "only a store and a log are waited for")
    )]
    pub async fn open(listeners: &Listeners, settings: &Settings) -> io::Result<Self> {
        #[cfg(feature = "nats")]
        if let Some(log) = &settings.log {
            return Self::replica(listeners, settings, log).await;
        }
        #[cfg(feature = "nats")]
        if let Some(log) = &settings.cluster.publish {
            return Self::gateway(settings, log);
        }
        #[cfg(feature = "store")]
        if let Some(options) = settings.store.options() {
            return Self::stored(listeners, settings, options).await;
        }
        Ok(Self::from(Arc::new(engine(settings))))
    }

    #[cfg(feature = "store")]
    async fn stored(listeners: &Listeners, settings: &Settings, options: candle_store::Options) -> io::Result<Self> {
        let mut starting = candle_http::starting::serve(listeners, "The server is recovering its store.")?;
        let settings = settings.clone();
        let resume = move || {
            let clock = Clock::new(settings.clock_mode());
            candle_store::resume(options, settings.core(), clock, settings.monitored_feeds())
        };
        let resumed = tokio::task::spawn_blocking(resume).await?;
        // Connections that were accepted meanwhile get their answer; later ones are accepted by the real server.
        starting.shutdown().await;
        let (engine, writer) = resumed?;
        Ok(Self { engine, persistence: Persistence::Store(writer) })
    }

    #[cfg(feature = "nats")]
    async fn replica(listeners: &Listeners, settings: &Settings, log: &candle_cluster::LogUrl) -> io::Result<Self> {
        let mut starting = candle_http::starting::serve(listeners, "The server is catching up with the log.")?;
        let config = settings.cluster.cluster_config(log, settings.core());
        let settings = settings.clone();
        let feeds = move || settings.monitored_feeds().with_log_coverage();
        let mut node = candle_cluster::start_read_node(&config, feeds)?;
        let engine = node.next_engine().await;
        starting.shutdown().await;
        if let Some(engine) = engine {
            return Ok(Self { engine, persistence: Persistence::Cluster(node) });
        }
        let ended = node.stop().await;
        Err(ended.err().unwrap_or_else(|| io::Error::other("the read node ended before it caught up with the log")))
    }

    #[cfg(feature = "nats")]
    fn gateway(settings: &Settings, log: &candle_cluster::LogUrl) -> io::Result<Self> {
        use candle_cluster::{Catalogue, GatewayConfig};
        use candle_feed::url::FeedUrl;

        let announces = |feed: &FeedUrl| matches!(feed, FeedUrl::Partner { .. });
        let catalogue =
            if settings.feeds.iter().all(announces) { Catalogue::Announced } else { Catalogue::Unannounced };
        let cluster = settings.cluster.cluster_config(log, settings.core());
        let config = GatewayConfig { cluster, streams: settings.cluster.stream_options(), catalogue };
        let journal = Arc::new(candle_cluster::gateway_journal());
        let engine = Arc::new(engine(settings).with_journal(Arc::clone(&journal)));
        let gateway = candle_cluster::start_gateway(Arc::clone(&engine), journal, config)?;
        Ok(Self { engine, persistence: Persistence::Cluster(gateway) })
    }

    /// Returns the engine.
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Waits for an engine that replaces the present one: a read node restarts from a checkpoint if the log lost messages.
    /// Returns `None` if the persistence has ended by itself; then [`stop`](Self::stop) returns the reason.
    pub(crate) async fn next_engine(&mut self) -> Option<Arc<Engine>> {
        match &mut self.persistence {
            #[cfg(feature = "nats")]
            Persistence::Cluster(node) => node.next_engine().await,
            _ => std::future::pending().await,
        }
    }

    /// Persists or publishes what remains, and stops the threads of the persistence.
    ///
    /// # Errors
    /// If the last writes could not be persisted, or the persistence had failed before.
    #[cfg_attr(
        not(any(feature = "nats", feature = "store")),
        expect(clippy::unused_async, reason = "only a store and a log are waited for")
    )]
    pub(crate) async fn stop(self) -> io::Result<()> {
        match self.persistence {
            Persistence::Memory => Ok(()),
            #[cfg(feature = "store")]
            Persistence::Store(writer) => writer.stop().await,
            #[cfg(feature = "nats")]
            Persistence::Cluster(node) => node.stop().await,
        }
    }
}
