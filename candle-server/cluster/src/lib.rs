//! Replication of a candle server: any number of machines serve equal candles from one log in NATS JetStream.
//!
//! A gateway publishes the writes of its feed to the log. Read nodes apply the log and serve it. All nodes apply the
//! same messages in the same order, so all give equal answers, and a checkpoint of one gateway is valid for all nodes.
//! `PROTOCOL.md` beside this crate has the protocol.
//!
//! | module | job |
//! |---|---|
//! | `url` | the address of a log |
//! | `broker` | the broker as a trait: NATS JetStream with its streams, and memory for tests |
//! | `retry` | repetition of an operation that can fail for a while |
//! | `message` | the format of messages |
//! | `publish` | the delivery of one message of a gateway |
//! | `subscribe` | the messages of a stream in order, across lost connections |
//! | `catalogue` | the catalogue of a feed, and the instruments of an aggregator |
//! | `views` | the ledger of views |
//! | `dedup` | the ticks of a standby that the log has already |
//! | `follower` | the state machine that applies the log to an engine |
//! | `checkpoint` | snapshots of all stripes, and their writer |
//! | `bootstrap` | the start of a node: checkpoint, then log |
//! | `reader` | a read node |
//! | `outbox` | writes that a gateway has to publish, and their compaction |
//! | `gateway` | a gateway: lease, messages, failover, coverage |
//!
//! A read node in a program of its own:
//!
//! ```no_run
//! use candle_cluster::{Authentication, ClusterConfig};
//! use candle_core::Config;
//! use candle_engine::clock::ClockMode;
//! use candle_engine::feeds::Feeds;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "nats://broker-1,broker-2:4222/QUOTES".parse()?;
//! let config = ClusterConfig { url, authentication: Authentication::default(), core: Config::default() };
//! let feeds = || Feeds::unmonitored(ClockMode::Feed).with_log_coverage();
//! let mut node = candle_cluster::start_read_node(&config, feeds)?;
//! // The first engine has caught up with the log. After a loss of messages another engine follows.
//! while let Some(engine) = node.next_engine().await {
//!     println!("{} instruments", engine.aggregator.len());
//! }
//! node.stop().await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

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

use candle_core::Config;
use candle_engine::Engine;
use candle_engine::background::Background;
use candle_engine::feeds::Feeds;
use candle_engine::journal::Journal;
use tokio::sync::watch;

pub use broker::StreamOptions;
pub use broker::nats::{Authentication, ClientCertificate};
pub use catalogue::Catalogue;
pub use url::{LogUrl, LogUrlError};

use bootstrap::{BootstrapConfig, Participant};
use broker::nats::{NatsAddress, NatsBroker};
use gateway::Gateway;
use reader::ReadNode;

/// The name of the thread of a node.
const THREAD: &str = "log";

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
    // The node has a timer, which needs the runtime of its thread.
    let run = move |stop| async move { ReadNode::<NatsBroker, _>::new(address, core, feeds, sender, stop).run().await };
    Ok(ClusterHandle { task: Background::spawn(THREAD, run)?, engines })
}

/// Creates the journal of a gateway's engine. Its numbers start at 2^63. So the sequence numbers that ticks without one
/// get from the journal are higher than those of any feed.
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

#[cfg(test)]
mod tests;
