//! Persistence of a candle server: candles, the catalogue and views in one file.
//!
//! | module | job |
//! |---|---|
//! | `file` | the tables and transactions of the file |
//! | `writer` | the thread that writes the engine's changes to the file |
//! | `recover` | reads the state out of a file |
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
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, Config, CoverageRing, Timestamp};
use candle_engine::Engine;
use candle_engine::background::Background;
use candle_engine::journal::Journal;

pub use crate::check::{CheckReport, check};
pub use crate::error::{StoreError, StoreErrorKind};
pub use crate::export::export;
use crate::file::{File, Location};
use crate::writer::Writer;

/// The default time between two commits: 100 ms. A kill loses at most the writes of about this time, and a sync of the
/// disk takes less.
pub const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);

/// The shortest time between two commits in the mode that spares a slow disk: one second.
pub const RELAXED_INTERVAL: Duration = Duration::from_secs(1);

/// The settings of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The path of the file.
    pub path: PathBuf,
    /// The time between two commits. A commit is safe from a loss of power.
    pub interval: Duration,
}

/// An open store whose state was read, and whose writer is not started yet.
#[derive(Debug)]
pub struct Store {
    options: Options,
    file: File,
    covered: Vec<u64>,
    last_batch: u64,
}

/// The state that was read from a store.
#[derive(Debug)]
pub struct Recovered {
    /// The candles, the catalogue and the views.
    pub aggregator: Aggregator,
    /// The time on the candles' clock, if it ever ran.
    pub now: Option<Timestamp>,
    /// The feed's coverage by minute. Minutes without a server are not covered.
    pub coverage: CoverageRing,
    /// The journal for the writes from now on.
    pub journal: Arc<Journal>,
}

/// Opens a store and reads its state, or creates an empty store if there is no file.
///
/// An existing file is changed only after its whole content was read and verified.
///
/// # Errors
/// Returns a [`StoreError`] if the file can't be used. The file is unchanged then.
pub fn open(options: Options, config: Config) -> Result<(Store, Recovered), StoreError> {
    let failed = |kind: StoreErrorKind| StoreError::new(&options.path, kind);
    if !options.path.try_exists().map_err(|error| failed(error.into()))? {
        file::create(&options.path, config)?;
    }
    let file = Location::of(&options.path).open().map_err(failed)?;
    let state = file.recover(config).map_err(failed)?;
    file.enable_writes().map_err(failed)?;
    let journal = Arc::new(Journal::new(state.next_lsn, state.feed));
    let recovered = Recovered { aggregator: state.aggregator, now: state.now, coverage: state.coverage, journal };
    Ok((Store { options, file, covered: state.covered, last_batch: state.last_batch }, recovered))
}

impl Store {
    /// Starts the thread that writes the changes of `engine` to the file. `journal` is the journal that [`open`]
    /// returned and that `engine` logs to.
    ///
    /// # Errors
    /// Returns an error if the thread can't be started.
    pub fn start_writer(self, engine: Arc<Engine>, journal: Arc<Journal>) -> io::Result<WriterHandle> {
        let location = Location::of(&self.options.path);
        let state = (self.covered, self.last_batch);
        let writer = Writer::new(engine, journal, location, self.file, state, self.options.interval);
        Ok(WriterHandle(Background::spawn("store", |stop| writer.run(stop))?))
    }
}

/// A handle of the thread that writes a store. Dropping it stops the thread without waiting for its last write.
#[derive(Debug)]
pub struct WriterHandle(Background<io::Result<()>>);

impl WriterHandle {
    /// Writes the remaining changes, closes the file and ends the thread.
    ///
    /// # Errors
    /// Returns an error if the last write failed or the thread panicked.
    pub async fn stop(self) -> io::Result<()> {
        self.0.stop().await?
    }
}
