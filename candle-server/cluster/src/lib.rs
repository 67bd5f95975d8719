//! Replicates a candle server: any number of machines serve the same candles from one log in NATS JetStream.
//!
//! Two gateways are connected to the feed. One gateway is the leader and publishes the writes of its feed to the log.
//! The other gateway is the standby. It buffers the writes of its feed, and becomes the leader if the first gateway
//! fails. The right to write the log is the lease, and the change of the leader is the failover.
//!
//! Read nodes apply the log and serve requests. They also publish how many views their readers made, so that all nodes
//! count the views of all readers. A checkpoint is a stream with a snapshot of each part of the state. A node that
//! starts loads the checkpoint and applies only the later messages of the log.
//!
//! All nodes apply the same messages in the same order, so all nodes have the same state. `PROTOCOL.md` beside this
//! crate specifies the protocol.
//!
//! The modules in import order. A module imports only modules above it in this table:
//!
//! | module | job |
//! |---|---|
//! | `retry` | repeats an operation until it succeeds or can never succeed |
//! | `url` | parses the address of a log |
//! | `message` | encodes and decodes the messages of the log |
//! | `broker` | defines the broker as a trait, with NATS JetStream and an in-memory broker for tests |
//! | `catalogue` | lists the instruments of an aggregator |
//! | `dedup` | finds the buffered ticks that the log already contains, after a failover |
//! | `views` | counts the views to publish, and adds the views that other nodes published |
//! | `publish` | publishes one message of a gateway until its result is known |
//! | `subscribe` | reads the messages of a stream in order, and reconnects |
//! | `follower` | applies the messages of the log to an engine |
//! | `checkpoint` | writes and loads snapshots of the state |
//! | `bootstrap` | starts a node: loads the checkpoint, then subscribes to the log |
//! | `reader` | runs a read node |
//! | `outbox` | buffers the writes that a gateway has to publish, and compacts them if memory runs out |
//! | `gateway` | runs a gateway: lease, messages, failover and coverage |
//!
//! This example runs a read node:
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
//! // The first engine has applied the whole log. If the node misses messages, it starts another engine.
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

/// The name of the thread that runs a node.
const THREAD: &str = "log";

/// The configuration of a node of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The address of the log.
    pub url: LogUrl,
    /// The files for the authentication to the broker.
    pub authentication: Authentication,
    /// The settings of the aggregator. The log determines the stripes, the seed and the instrument limit instead.
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
    /// The configuration that gateways and read nodes share.
    pub cluster: ClusterConfig,
    /// The options of streams that the gateway creates.
    pub streams: StreamOptions,
    /// States if the feed announces all its instruments.
    pub catalogue: Catalogue,
}

/// A running node of a cluster. Each node has its own thread.
#[derive(Debug)]
pub struct ClusterHandle {
    task: Background<Result<(), String>>,
    /// The newest engine of a read node. A gateway sends no engine.
    engines: watch::Receiver<Option<Arc<Engine>>>,
}

impl ClusterHandle {
    /// Waits for the next engine of a read node, and returns it for the caller to serve.
    ///
    /// The node sends its first engine when that engine has applied the whole log. If the node misses messages later,
    /// it restarts from the checkpoint and sends another engine.
    ///
    /// Returns `None` when the node has ended by itself. [`stop`](Self::stop) then returns the reason. A gateway sends
    /// no engine, because its caller already serves the engine of the gateway.
    pub async fn next_engine(&mut self) -> Option<Arc<Engine>> {
        // The channel is closed if the node is a gateway or has ended.
        while self.engines.changed().await.is_ok() {
            if let Some(engine) = self.engines.borrow_and_update().clone() {
                return Some(engine);
            }
        }
        self.task.ended().await;
        None
    }

    /// Stops the node and waits until its thread has ended.
    ///
    /// Before it ends, a leader publishes its remaining writes, and a read node publishes its remaining views.
    ///
    /// # Errors
    /// The error that ended the node before this call, or an error if the broker did not store the last quotes.
    pub async fn stop(self) -> io::Result<()> {
        self.task.stop().await?.map_err(io::Error::other)
    }
}

/// Starts a read node. Each engine of the node gets the result of a call to `feeds`.
///
/// # Errors
/// The error if the thread can't be started.
pub fn start_read_node(
    config: &ClusterConfig,
    feeds: impl Fn() -> Feeds + Send + 'static,
) -> io::Result<ClusterHandle> {
    let (address, core) = (config.address(), config.core);
    let (sender, engines) = watch::channel(None);
    // The node is created on its thread, because its timer needs the runtime of that thread.
    let run = move |stop| async move { ReadNode::<NatsBroker, _>::new(address, core, feeds, sender, stop).run().await };
    Ok(ClusterHandle { task: Background::spawn(THREAD, run)?, engines })
}

/// Creates the journal of the engine of a gateway.
///
/// The journal numbers the ticks that have no sequence number. These numbers start at 2^63, above the sequence numbers
/// of any feed.
pub fn gateway_journal() -> Journal {
    Journal::new(message::FIRST_ARRIVAL_SEQ, None)
}

/// Starts a gateway. While it is the leader, the gateway publishes the writes that `journal` records for `engine`.
///
/// # Errors
/// The error if the thread can't be started.
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
