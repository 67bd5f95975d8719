//! The persistence of an engine.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use candle_engine::Engine;

/// The part of a backend that outlives a crash.
pub(super) trait Persistence: fmt::Debug + Send {
    /// Waits for an engine that replaces the present one. Returns `None` if the persistence has ended by itself.
    fn next_engine(&mut self) -> Pin<Box<dyn Future<Output = Option<Arc<Engine>>> + Send + '_>>;

    /// Persists what remains and ends all threads.
    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;
}
