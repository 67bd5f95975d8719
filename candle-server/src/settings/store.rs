//! Whether and how the engine is kept.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::store::{self, Options, RELAXED_INTERVAL, StoreError};

/// Whether and how the engine is kept.
#[derive(Args, Clone, Debug)]
pub struct StoreSettings {
    /// A file that keeps what a restart must not lose: candles, catalogue, views. It is made where there is none.
    #[arg(long, value_name = "PATH", env = "CANDLE_STORE")]
    store: Option<PathBuf>,

    /// When what was written is safe from a loss of power: with every commit, or with one each second, which spares a slow
    /// disk and is what a kill loses then too.
    #[arg(long, value_name = "WHEN", env = "CANDLE_STORE_SYNC", default_value = "always")]
    store_sync: SyncChoice,

    /// How long a write waits for its commit, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", env = "CANDLE_STORE_INTERVAL", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(10..=60_000))]
    store_interval: u64,
}

impl StoreSettings {
    /// Where and how the engine is kept, if it is.
    pub fn options(&self) -> Option<Options> {
        let asked = Duration::from_millis(self.store_interval);
        let interval = match self.store_sync {
            SyncChoice::Always => asked,
            SyncChoice::Interval => asked.max(RELAXED_INTERVAL),
        };
        Some(Options { path: self.store.clone()?, interval })
    }
}

/// What can be done with a store that no server is using.
#[derive(Clone, Debug, Subcommand)]
pub enum StoreCommand {
    /// Reads all of a store and tells what is in it.
    Check {
        /// The file.
        path: PathBuf,
    },
    /// Writes the candles of a store to standard output, one JSON object a line.
    Export {
        /// The file.
        path: PathBuf,
    },
}

impl StoreCommand {
    /// Does it.
    ///
    /// # Errors
    /// [`StoreError`], where the store can't be read, or standard output not be written.
    pub fn run(&self) -> Result<(), StoreError> {
        let mut out = std::io::stdout().lock();
        match self {
            Self::Check { path } => {
                let report = store::check(path)?;
                // The exit code says it too.
                let _ = writeln!(out, "{}: {report}", path.display());
                Ok(())
            }
            Self::Export { path } => store::export(path, std::io::BufWriter::new(out)),
        }
    }
}

/// When what was written is safe from a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SyncChoice {
    /// With every commit.
    Always,
    /// With one commit each second.
    Interval,
}
