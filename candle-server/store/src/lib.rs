//! Persists the state of a candle server in one file: candles, the catalogue (all listed instruments) and view counts.
//!
//! | module | job |
//! |---|---|
//! | `file` | the tables and transactions of the file |
//! | `writer` | the thread that writes the engine's changes to the file |
//! | `recover` | reads the state out of a file |
//! | `store`, `resume` | opens a store; starts an engine from it |
//! | `overlay` | buffers writes until the file is verified |
//! | `check`, `export` | commands for a file that no server uses |
//! | `error` | the errors of a store |
//!
//! The engine's [`Journal`](candle_engine::journal::Journal) logs every write. The writer thread appends the logged
//! writes to the file, one batch per interval. A stripe is a part of the aggregator behind one lock. Within a minute,
//! the writer stores a new snapshot of every stripe and deletes the batches that these snapshots cover.
//!
//! Each write has a log sequence number (LSN). A stripe's snapshot contains the highest LSN of the stripe. So recovery
//! replays exactly the writes that the snapshot lacks.
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
