//! The settings of the store.

use std::path::PathBuf;
use std::time::Duration;

use candle_store::{Options, RELAXED_INTERVAL};
use clap::{Args, Subcommand, ValueEnum};

/// The settings of the store.
#[derive(Args, Clone, Debug)]
pub struct StoreSettings {
    /// File that persists candles, the catalogue and view counts across restarts. The file is created if it does not
    /// exist.
    #[arg(long, value_name = "PATH", env = "CANDLE_STORE")]
    store: Option<PathBuf>,

    /// Time at which writes are committed, which makes them safe from a power cut. The value always commits after each
    /// --store-interval. The value interval commits at most once a second, for slow disks. A crash then loses the
    /// writes of up to a second.
    #[arg(long, value_name = "WHEN", env = "CANDLE_STORE_SYNC", default_value = "always")]
    store_sync: SyncChoice,

    /// Maximum time for which a write waits for its commit, in milliseconds.
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
        /// Path of the store.
        path: PathBuf,
    },
    /// Writes the candles of a store to standard output, one JSON object per line.
    Export {
        /// Path of the store.
        path: PathBuf,
    },
}

/// The values of `--store-sync`, which selects when writes are safe from a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SyncChoice {
    /// Commit after each --store-interval.
    Always,
    /// Commit at most once a second.
    Interval,
}
