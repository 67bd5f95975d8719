//! Checks a store file that no server uses: `candle-server store check`.

use std::fmt;
use std::io;
use std::path::Path;

use candle_core::{Gaps, Timestamp};

use crate::error::StoreError;
use crate::recover::read;

/// A summary of a store's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The number of listed instruments.
    pub instruments: u64,
    /// The number of stored candles inside the window.
    pub candles: u64,
    /// The number of views of all instruments.
    pub views: u64,
    /// The last time on the candles' clock; `None` if no tick was recorded.
    pub now: Option<Timestamp>,
    /// The number of batches of writes that a restart must replay.
    pub batches: u64,
    /// The number of ticks in these batches.
    pub ticks: u64,
    /// The size of the file in bytes.
    pub bytes: u64,
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now.map_or("never".to_owned(), |now| (now.as_micros() / 1_000_000).to_string());
        write!(
            f,
            "sound: {} instruments, {} candles, {} views, last tick at {now}, {} ticks in {} batches to replay, {} bytes",
            self.instruments, self.candles, self.views, self.ticks, self.batches, self.bytes
        )
    }
}

/// Reads and verifies a whole store, and returns a summary. The file is not changed.
///
/// # Errors
/// Returns a [`StoreError`] if the file can't be read, or another process uses the file.
pub fn check(path: &Path) -> Result<CheckReport, StoreError> {
    let state = read(path)?;
    let bytes = std::fs::metadata(path).map_err(|error| StoreError::new(path, error))?.len();
    let mut report = CheckReport {
        instruments: 0,
        candles: 0,
        views: 0,
        now: state.now,
        batches: state.batches,
        ticks: state.ticks,
        bytes,
    };
    state
        .each_instrument(|_, history, now| {
            report.instruments += 1;
            report.views += history.views;
            report.candles += history.candles(now, Gaps::Omitted).count() as u64;
            Ok(())
        })
        .map_err(|error: io::Error| StoreError::new(path, error))?;
    Ok(report)
}
