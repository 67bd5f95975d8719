//! Opens a store, returns its state, and starts its writer.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, Config, CoverageRing, Timestamp};
use candle_engine::Engine;
use candle_engine::background::Background;
use candle_engine::journal::Journal;

use crate::error::{StoreError, StoreErrorKind};
use crate::file::{self, File, Location};
use crate::writer::Writer;

/// The default time between two commits: 100 ms.
///
/// A killed process loses the writes of about this time. A sync of the disk usually takes less time.
pub const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);

/// The shortest time between two commits in the mode for slow disks: one second.
pub const RELAXED_INTERVAL: Duration = Duration::from_secs(1);

/// The settings of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The path of the file.
    pub path: PathBuf,
    /// The time between two commits. A committed write survives a loss of power.
    pub interval: Duration,
}

/// An open store. Its state was read, but its writer was not started.
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
    /// The candles, the catalogue and the view counts.
    pub aggregator: Aggregator,
    /// The last time on the candles' clock; `None` if no tick was recorded.
    pub now: Option<Timestamp>,
    /// The coverage: the part of each minute for which the feed was up. Minutes without a running server have no
    /// coverage.
    pub coverage: CoverageRing,
    /// The journal that must log all later writes.
    pub journal: Arc<Journal>,
}

/// Opens a store and reads its state. Creates an empty store if there is no file.
///
/// An existing file is changed only after its whole content was read and verified.
///
/// # Errors
/// Returns a [`StoreError`] if the file can't be used. In this case, an existing file is not changed.
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
    /// Starts the thread that writes the changes of `engine` to the file.
    ///
    /// `journal` is the journal that [`open`] returned. `engine` must log its writes to this journal.
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

/// A handle of the thread that writes a store. If the handle is dropped, the thread stops, but no one waits for its
/// last write.
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
