//! Persistence of a candle server: candles, the catalogue and views in one file.
//!
//! | module | job |
//! |---|---|
//! | `file` | the tables and transactions of the file |
//! | `writer` | the thread that writes the engine's changes to the file |
//! | `recover` | reads the state out of a file |
//! | `store`, `resume` | opens a store; starts an engine from it |
//! | `overlay` | buffers writes until a file is verified |
//! | `check`, `export` | commands for a file that no server uses |
//! | `error` | the errors of a store |
//!
//! The engine's [`Journal`] logs every write. The writer thread appends the logged writes to the file, one batch per
//! interval. Within a minute, it replaces each batch by snapshots of all stripes.
//!
//! Each write has a log sequence number (LSN). A stripe's snapshot contains the highest LSN that the stripe has seen, so
//! that recovery replays exactly the writes that the snapshot lacks.
//!
//! ```
//! use std::sync::Arc;
//!
//! use candle_core::{Aggregator, Config};
//! use candle_engine::Engine;
//! use candle_engine::clock::{Clock, ClockMode};
//! use candle_store::{DEFAULT_INTERVAL, Options};
//!
//! # let path = std::env::temp_dir().join(format!("candle-store-example-{}", std::process::id()));
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let options = Options { path: path.clone(), interval: DEFAULT_INTERVAL };
//! let (store, recovered) = candle_store::open(options, Config::default())?;
//! let journal = recovered.journal;
//! let engine = Engine::new(recovered.aggregator, Clock::new(ClockMode::Wall)).with_journal(Arc::clone(&journal));
//! let engine = Arc::new(engine);
//! let writer = store.start_writer(Arc::clone(&engine), journal)?;
//! engine.list("BTC", Some("Bitcoin"))?;
//! writer.stop().await?;
//!
//! assert_eq!(candle_store::check(&path)?.instruments, 1);
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod check;
mod error;
mod export;
mod file;
mod overlay;
mod recover;
mod resume;
mod store;
mod writer;

#[cfg(test)]
mod tests;

pub use crate::check::{CheckReport, check};
pub use crate::error::{StoreError, StoreErrorKind};
pub use crate::export::export;
pub use crate::resume::resume;
pub use crate::store::{DEFAULT_INTERVAL, Options, RELAXED_INTERVAL, Recovered, Store, WriterHandle, open};
