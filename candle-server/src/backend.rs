//! Opens the engine to serve, with its persistence: none, a store or a cluster.

#[cfg(feature = "nats")]
mod cluster;
mod memory;
mod persistence;
#[cfg(feature = "store")]
mod store;

use std::io;
use std::sync::Arc;

use candle_engine::Engine;
use candle_http::server::Listeners;

use self::memory::Memory;
pub use self::memory::engine;
use self::persistence::Persistence;
use crate::settings::Settings;

/// An engine with its persistence.
#[derive(Debug)]
pub struct Backend {
    engine: Arc<Engine>,
    persistence: Box<dyn Persistence>,
}

/// Creates a backend without persistence.
impl From<Arc<Engine>> for Backend {
    fn from(engine: Arc<Engine>) -> Self {
        Self { engine, persistence: Box::new(Memory) }
    }
}

impl Backend {
    /// Opens the backend that `settings` describe.
    ///
    /// While a store or a replicated log is read, every request on `listeners` is answered with 503.
    ///
    /// # Errors
    /// Returns an error if the store or the log can't be used, or a thread can't be started.
    #[cfg_attr(
        not(any(feature = "nats", feature = "store")),
        expect(clippy::unused_async, unused_variables, reason = "only a store and a log need these")
    )]
    pub async fn open(listeners: &Listeners, settings: &Settings) -> io::Result<Self> {
        #[cfg(feature = "nats")]
        if let Some((engine, persistence)) = cluster::open(listeners, settings).await? {
            return Ok(Self { engine, persistence });
        }
        #[cfg(feature = "store")]
        if let Some((engine, persistence)) = store::open(listeners, settings).await? {
            return Ok(Self { engine, persistence });
        }
        Ok(Self::from(Arc::new(engine(settings))))
    }

    /// Returns the engine.
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Waits for an engine that replaces the current engine.
    ///
    /// A read node creates a new engine from a checkpoint if the log lost messages. Returns `None` if the persistence
    /// has ended. [`stop`](Self::stop) then returns the reason.
    pub(crate) async fn next_engine(&mut self) -> Option<Arc<Engine>> {
        self.persistence.next_engine().await
    }

    /// Persists or publishes the remaining writes, and stops the threads of the persistence.
    ///
    /// # Errors
    /// Returns an error if the last writes could not be persisted, or if the persistence had failed before.
    pub(crate) async fn stop(self) -> io::Result<()> {
        self.persistence.stop().await
    }
}
