//! Starts a node of a cluster: a read node, which reads the log, or a gateway, which publishes the log.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use candle_cluster::{Catalogue, ClusterHandle, GatewayConfig, LogUrl};
use candle_engine::Engine;
use candle_feed::url::FeedUrl;
use candle_http::server::Listeners;

use super::memory::engine;
use super::persistence::Persistence;
use crate::settings::Settings;

/// Starts the node that `settings` describe. Returns `None` if they contain no log.
pub(super) async fn open(
    listeners: &Listeners,
    settings: &Settings,
) -> io::Result<Option<(Arc<Engine>, Box<dyn Persistence>)>> {
    match (&settings.cluster.read, &settings.cluster.publish) {
        (Some(log), _) => read_node(listeners, settings, log).await.map(Some),
        (None, Some(log)) => gateway(settings, log).map(Some),
        (None, None) => Ok(None),
    }
}

async fn read_node(
    listeners: &Listeners,
    settings: &Settings,
    log: &LogUrl,
) -> io::Result<(Arc<Engine>, Box<dyn Persistence>)> {
    let mut starting = candle_http::starting::serve(listeners, "The server is catching up with the log.")?;
    let config = settings.cluster.config(log, settings.core());
    let settings = settings.clone();
    let feeds = move || settings.monitored_feeds().with_log_coverage();
    let mut node = candle_cluster::start_read_node(&config, feeds)?;
    let engine = node.next_engine().await;
    starting.shutdown().await;
    if let Some(engine) = engine {
        return Ok((engine, Box::new(node)));
    }
    let ended = node.stop().await;
    Err(ended.err().unwrap_or_else(|| io::Error::other("the read node ended before it caught up with the log")))
}

fn gateway(settings: &Settings, log: &LogUrl) -> io::Result<(Arc<Engine>, Box<dyn Persistence>)> {
    let announces = |feed: &FeedUrl| matches!(feed, FeedUrl::Partner { .. });
    let catalogue = if settings.feeds.iter().all(announces) { Catalogue::Announced } else { Catalogue::Unannounced };
    let cluster = settings.cluster.config(log, settings.core());
    let config = GatewayConfig { cluster, streams: settings.cluster.stream_options(), catalogue };
    let journal = Arc::new(candle_cluster::gateway_journal());
    let engine = Arc::new(engine(settings).with_journal(Arc::clone(&journal)));
    let gateway = candle_cluster::start_gateway(Arc::clone(&engine), journal, config)?;
    Ok((engine, Box::new(gateway)))
}

impl Persistence for ClusterHandle {
    fn next_engine(&mut self) -> Pin<Box<dyn Future<Output = Option<Arc<Engine>>> + Send + '_>> {
        Box::pin(ClusterHandle::next_engine(self))
    }

    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> {
        Box::pin(ClusterHandle::stop(*self))
    }
}
