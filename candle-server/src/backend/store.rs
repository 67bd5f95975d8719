//! Opens an engine that a store persists.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use candle_engine::Engine;
use candle_engine::clock::Clock;
use candle_http::server::Listeners;
use candle_store::WriterHandle;

use super::persistence::Persistence;
use crate::settings::Settings;

/// Opens the store that `settings` describe. Returns `None` without `--store`.
pub(super) async fn open(
    listeners: &Listeners,
    settings: &Settings,
) -> io::Result<Option<(Arc<Engine>, Box<dyn Persistence>)>> {
    let Some(options) = settings.store.options() else { return Ok(None) };
    let mut starting = candle_http::starting::serve(listeners, "The server is recovering its store.")?;
    let settings = settings.clone();
    let resume = move || {
        let clock = Clock::new(settings.clock_mode());
        candle_store::resume(options, settings.core(), clock, settings.monitored_feeds())
    };
    let resumed = tokio::task::spawn_blocking(resume).await?;
    // Connections that were accepted during the recovery get a response. The real server accepts all later connections.
    starting.shutdown().await;
    let (engine, writer) = resumed?;
    Ok(Some((engine, Box::new(writer))))
}

impl Persistence for WriterHandle {
    fn next_engine(&mut self) -> Pin<Box<dyn Future<Output = Option<Arc<Engine>>> + Send + '_>> {
        Box::pin(pending())
    }

    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> {
        Box::pin(WriterHandle::stop(*self))
    }
}
