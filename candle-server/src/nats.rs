//! Several machines that serve the same candles, from a log in NATS JetStream.
//!
//! A gateway publishes the writes of its feed to the log. Read nodes apply the log and serve it. All nodes apply the same
//! messages in the same order, so all give equal answers, and a checkpoint of one gateway is valid for all nodes. The
//! protocol is in `PROTOCOL.md`.
//!
//! - `url`: the address of a log
//! - `broker`: the broker as a trait; NATS JetStream and its streams; a broker in memory for tests
//! - `message`: the format of messages
//! - `publish`, `subscribe`, `retry`: messages to and from the broker, across lost connections
//! - `bootstrap`, `checkpoint`: the start of a node
//! - `follower`: the state machine that applies the log
//! - `views`, `dedup`, `catalogue`: the ledger of views, known ticks, listed instruments
//! - `reader`: a read node
//! - `outbox`: writes that a gateway has to publish
//! - `gateway`: the lease of a pair of gateways and the writes of the leader

mod bootstrap;
mod broker;
mod catalogue;
mod checkpoint;
mod dedup;
mod follower;
mod gateway;
mod message;
mod outbox;
mod publish;
mod reader;
mod retry;
mod subscribe;
mod url;
mod views;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Config;
use tokio::sync::watch;

pub use broker::{Authentication, ClientCertificate, StreamOptions};
pub use gateway::Catalogue;
pub use url::{LogUrl, LogUrlError};

use bootstrap::{BootstrapConfig, Participant};
use broker::nats::{NatsAddress, NatsBroker};
use gateway::Gateway;
use reader::ReadNode;

use candle_engine::background::Background;

use crate::engine::Engine;
use crate::feeds::Feeds;
use crate::journal::Journal;

/// The name of the thread of a node.
const THREAD: &str = "log";

/// The pause before a node that is out of sync starts again. By then there can be a checkpoint after the lost messages.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The configuration of a node of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The address of the log.
    pub url: LogUrl,
    /// Files for the authentication at the broker.
    pub authentication: Authentication,
    /// The settings of the aggregator. Those that the log determines are replaced.
    pub core: Config,
}

impl ClusterConfig {
    fn address(&self) -> NatsAddress {
        NatsAddress { url: self.url.clone(), authentication: self.authentication.clone() }
    }
}

/// The configuration of a gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// The configuration that every node has.
    pub cluster: ClusterConfig,
    /// Options of streams that the gateway creates.
    pub streams: StreamOptions,
    /// The relation between the feed and the catalogue of the log.
    pub catalogue: Catalogue,
}

/// A node of a cluster, on a thread of its own.
#[derive(Debug)]
pub struct ClusterHandle {
    task: Background<Result<(), String>>,
    /// The newest engine that follows the log. A gateway never sends one.
    engines: watch::Receiver<Option<Arc<Engine>>>,
}

impl ClusterHandle {
    /// Waits for the next engine to serve: the first one when it has caught up with the log, and another one after each
    /// restart from a checkpoint. A gateway has no engine to serve besides the one that it publishes.
    ///
    /// Returns `None` when the node has ended by itself. Then [`stop`](Self::stop) returns the reason.
    pub async fn next_engine(&mut self) -> Option<Arc<Engine>> {
        // The channel of a gateway, and of a node that has ended, is closed.
        while self.engines.changed().await.is_ok() {
            if let Some(engine) = self.engines.borrow_and_update().clone() {
                return Some(engine);
            }
        }
        self.task.ended().await;
        None
    }

    /// Stops the node and waits until it has ended. A leader publishes its remaining writes before, and a read node its
    /// remaining views.
    ///
    /// # Errors
    /// The node ended before because of an error, or the broker did not store the last quotes.
    pub async fn stop(self) -> io::Result<()> {
        self.task.stop().await?.map_err(io::Error::other)
    }
}

/// Starts a read node, whose engines are built with `feeds`.
///
/// # Errors
/// The thread can't be started.
pub fn start_read_node(
    config: &ClusterConfig,
    feeds: impl Fn() -> Feeds + Send + 'static,
) -> io::Result<ClusterHandle> {
    let (address, core) = (config.address(), config.core);
    let (sender, engines) = watch::channel(None);
    let run = move |stop| ReadNode::<NatsBroker, _>::new(address, core, feeds, sender, stop).run();
    Ok(ClusterHandle { task: Background::spawn(THREAD, run)?, engines })
}

/// A journal for the engine of a gateway. Its arrival numbers are higher than the sequence numbers of a feed.
pub fn gateway_journal() -> Journal {
    Journal::new(message::FIRST_ARRIVAL_SEQ, None)
}

/// Starts a gateway, which publishes the writes that `journal` records for `engine` while it is the leader.
///
/// # Errors
/// The thread can't be started.
pub fn start_gateway(engine: Arc<Engine>, journal: Arc<Journal>, config: GatewayConfig) -> io::Result<ClusterHandle> {
    let bootstrap = BootstrapConfig::<NatsBroker> {
        address: config.cluster.address(),
        participant: Participant::Gateway(config.streams),
        core: config.cluster.core,
        node: fastrand::u64(..),
    };
    let (_, engines) = watch::channel(None);
    let run = move |stop| Gateway::new(engine, journal, bootstrap, config.catalogue).run(stop);
    Ok(ClusterHandle { task: Background::spawn(THREAD, run)?, engines })
}
