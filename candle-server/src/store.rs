//! What survives a restart: candles, catalogue, views, in one file.
//!
//! Every write is logged by the [`Journal`]. One thread appends what it gathered, a batch each
//! interval, and within a minute replaces it by snapshots of all stripes. The file has three calls, `append` with
//! `checkpoint` in one transaction, and `recover`: another log can take its place.
//!
//! What a snapshot covers and what is replayed on top of it never overlap: each write has a lsn, each stripe
//! remembers the highest it saw, and a snapshot of it carries that one.

mod command;
mod error;
mod file;
mod keeper;
mod trial;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use candle_core::{Aggregator, Config, CoverageRing, Timestamp};

pub use command::{Report, check, export};
pub use error::{Fault, StoreError};

use crate::engine::Engine;
use crate::journal::Journal;
use file::{File, Place};
use keeper::Keeper;

/// How long a write waits before it is kept, unless told otherwise: short against what anyone misses, long against what a
/// disk takes to sync.
pub const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);

/// How long it waits at least where the disk is to be spared.
pub const SPARING_INTERVAL: Duration = Duration::from_secs(1);

/// Where and how to keep a engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The file.
    pub path: PathBuf,
    /// How long a write waits before it is kept, safe from a loss of power too.
    pub interval: Duration,
}

/// An open store that was read and is not kept yet.
#[derive(Debug)]
pub struct Store {
    options: Options,
    file: File,
    covered: Vec<u64>,
    last_batch: u64,
}

/// What was in a store.
#[derive(Debug)]
pub struct Recovered {
    /// Candles, catalogue and views.
    pub aggregator: Aggregator,
    /// The time on the candles' clock, if it ever ran.
    pub now: Option<Timestamp>,
    /// Which minutes the feed covered; those without us are none of them.
    pub coverage: CoverageRing,
    /// Logs what is written from now on.
    pub journal: Arc<Journal>,
}

/// Opens the store and reads what is in it; where there is no file, makes one. Nothing is written to a file before all of
/// it was read and found right.
///
/// # Errors
/// [`StoreError`], where the file can't be used; it is as it was then.
pub fn open(options: Options, config: Config) -> Result<(Store, Recovered), StoreError> {
    let failed = |fault: Fault| StoreError::new(&options.path, fault);
    if !options.path.try_exists().map_err(|error| failed(error.into()))? {
        file::create(&options.path, config)?;
    }
    let file = Place::of(&options.path).open().map_err(failed)?;
    let content = file.recover(config).map_err(failed)?;
    file.go_live().map_err(failed)?;
    let journal = Arc::new(Journal::new(content.next_lsn, content.feed));
    let recovered = Recovered { aggregator: content.aggregator, now: content.now, coverage: content.coverage, journal };
    Ok((Store { options, file, covered: content.covered, last_batch: content.last_batch }, recovered))
}

impl Store {
    /// Keeps what is written into `engine` from now on, on a thread of its own.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn keep(self, engine: Arc<Engine>, journal: Arc<Journal>) -> io::Result<Keeping> {
        let place = Place::of(&self.options.path);
        let state = (self.covered, self.last_batch);
        let keeper = Keeper::new(engine, journal, place, self.file, state, self.options.interval);
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || keeper.run(&stopped))?;
        Ok(Keeping { stop, thread })
    }
}

/// A store being kept.
#[derive(Debug)]
pub struct Keeping {
    stop: Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Keeping {
    /// Keeps what was written last, and closes the file. Blocks while it does.
    ///
    /// # Errors
    /// Where the keeper panicked.
    pub fn stop(self) -> io::Result<()> {
        // Fails only if the keeper is gone, which the join tells.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| io::Error::other("the store's keeper panicked"))?
    }
}
