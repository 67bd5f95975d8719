//! The trait for the persistence of an engine.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use candle_engine::Engine;

/// Persists or replicates the writes of an engine.
pub(super) trait Persistence: fmt::Debug + Send {
    /// Waits for an engine that replaces the current engine. Returns `None` if the persistence has ended.
    fn next_engine(&mut self) -> Pin<Box<dyn Future<Output = Option<Arc<Engine>>> + Send + '_>>;

    /// Persists the remaining writes and ends all threads.
    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;
}
