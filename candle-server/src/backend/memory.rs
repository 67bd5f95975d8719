//! Creates an engine without persistence.

use std::future::{pending, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use candle_core::Aggregator;
use candle_engine::Engine;
use candle_engine::clock::Clock;

use super::persistence::Persistence;
use crate::settings::Settings;

/// No persistence: the engine is empty after a restart.
#[derive(Debug)]
pub(super) struct Memory;

impl Persistence for Memory {
    fn next_engine(&mut self) -> Pin<Box<dyn Future<Output = Option<Arc<Engine>>> + Send + '_>> {
        Box::pin(pending())
    }

    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> {
        Box::pin(ready(Ok(())))
    }
}

/// Creates the empty engine that `settings` describe.
pub fn engine(settings: &Settings) -> Engine {
    let engine = Engine::new(Aggregator::new(settings.core()), Clock::new(settings.clock_mode()));
    engine.with_feeds(settings.monitored_feeds())
}
