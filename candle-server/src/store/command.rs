//! Looking into a store without a server: `store check` and `store export`.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use candle_core::{Config, Gaps, InstrumentId, Timestamp};

use super::file::{Content, Place};
use super::{Fault, StoreError};

/// How many instruments are looked up at once.
const PAGE: usize = 1000;

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Listed instruments.
    pub instruments: u64,
    /// Their stored candles in the window.
    pub candles: u64,
    /// Their views.
    pub views: u64,
    /// The time on the candles' clock.
    pub now: Option<Timestamp>,
    /// Batches of writes that no snapshot covers yet.
    pub batches: u64,
    /// Ticks in them.
    pub ticks: u64,
    /// The file's size in bytes.
    pub bytes: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now.map_or("never".to_owned(), |now| (now.as_micros() / 1_000_000).to_string());
        write!(
            f,
            "sound: {} instruments, {} candles, {} views, last tick at {now}, {} ticks in {} batches to replay, {} bytes",
            self.instruments, self.candles, self.views, self.ticks, self.batches, self.bytes
        )
    }
}

/// Reads all of a store, and tells what is in it. The file is not changed.
///
/// # Errors
/// [`StoreError`], where it can't be read, or a server is using it.
pub fn check(path: &Path) -> Result<Report, StoreError> {
    let content = read(path)?;
    let bytes = std::fs::metadata(path).map_err(|error| StoreError::new(path, error))?.len();
    let mut report = Report {
        instruments: 0,
        candles: 0,
        views: 0,
        now: content.now,
        batches: content.batches,
        ticks: content.ticks,
        bytes,
    };
    each(&content, |_, history, now| {
        report.instruments += 1;
        report.views += history.views;
        report.candles += history.candles(now, Gaps::Omitted).count() as u64;
        Ok(())
    })
    .map_err(|error: io::Error| StoreError::new(path, error))?;
    Ok(report)
}

/// Writes the candles of a store to `out`, one JSON object a line: the instrument's `id`, then what a candle has in an
/// answer of the server. Instruments come by the bytes of their ids, candles oldest first. The file is not changed.
/// A reader of `out` that closes it has seen enough: that is an end, not an error.
///
/// # Errors
/// [`StoreError`], as [`check`]'s, or where `out` can't be written.
pub fn export(path: &Path, mut out: impl Write) -> Result<(), StoreError> {
    let content = read(path)?;
    let coverage = content.coverage.window(content.now.unwrap_or(Timestamp::EPOCH));
    let mut line = Vec::new();
    let written = each(&content, |id, history, now| {
        for candle in history.candles(now, Gaps::Omitted) {
            line.clear();
            candle_http::json::exported(&mut line, id, candle, coverage.of(candle.minute));
            line.push(b'\n');
            out.write_all(&line)?;
        }
        Ok(())
    });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(StoreError::new(path, Fault::Output(error))),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Content, StoreError> {
    let read = || Place::of(path).open()?.recover(Config::default());
    read().map_err(|fault| StoreError::new(path, fault))
}

/// Calls `each` for every instrument, with the time as of which its candles are shown.
fn each(
    content: &Content,
    mut each: impl FnMut(&str, &candle_core::History, Timestamp) -> io::Result<()>,
) -> io::Result<()> {
    let aggregator = &content.aggregator;
    let now = content.now.unwrap_or(Timestamp::EPOCH);
    let mut page = aggregator.page(None, "", PAGE);
    while let Some(last) = page.last().map(|summary| summary.id.clone()) {
        for summary in &page {
            if let Some(history) = aggregator.history(summary.id.as_str()) {
                each(summary.id.as_str(), &history, now)?;
            }
        }
        page = aggregator.page(Some(InstrumentId::as_str(&last)), "", PAGE);
    }
    Ok(())
}
