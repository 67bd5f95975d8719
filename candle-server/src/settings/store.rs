//! The settings of the store.

use std::path::PathBuf;
use std::time::Duration;

use candle_store::{Options, RELAXED_INTERVAL};
use clap::{Args, Subcommand, ValueEnum};

/// The settings of the store.
#[derive(Args, Clone, Debug)]
pub struct StoreSettings {
    /// File that persists candles, catalogue and views over a restart. It is created if it does not exist.
    #[arg(long, value_name = "PATH", env = "CANDLE_STORE")]
    store: Option<PathBuf>,

    /// When writes are safe from a power cut: with every commit, or with one commit a second. The latter spares a slow
    /// disk; a crash then loses up to a second too.
    #[arg(long, value_name = "WHEN", env = "CANDLE_STORE_SYNC", default_value = "always")]
    store_sync: SyncChoice,

    /// Longest time a write waits for its commit, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", env = "CANDLE_STORE_INTERVAL", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(10..=60_000))]
    store_interval: u64,
}

impl StoreSettings {
    /// Returns the options of the store; `None` without `--store`.
    pub fn options(&self) -> Option<Options> {
        let interval = Duration::from_millis(self.store_interval);
        let interval = match self.store_sync {
            SyncChoice::Always => interval,
            SyncChoice::Interval => interval.max(RELAXED_INTERVAL),
        };
        Some(Options { path: self.store.clone()?, interval })
    }
}

/// A subcommand on a store that no server is using.
#[derive(Clone, Debug, Subcommand)]
pub enum StoreCommand {
    /// Reads all of a store and prints a summary.
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

/// When writes are safe from a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SyncChoice {
    /// With every commit.
    Always,
    /// With one commit a second.
    Interval,
}
