//! The cached text of one history, which all reads share.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use candle_core::{CoverageWindow, Gaps, History, Latest, Timestamp, Version, WindowCandle};
use candle_engine::status::Status;

use crate::body_writer::{BodyWriter, Digest};
use crate::json::{self, lightweight};
use crate::route::{Format, HistoryOptions};

/// The approximate length of the JSON of one candle (bytes).
const CANDLE_BYTES: usize = 240;
/// The approximate length of a history without its finished candles: id, description, one candle, views, time (bytes).
const FRESH_BYTES: usize = 2 * CANDLE_BYTES + 200;

/// The values that differ between two reads of the same cached text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadContext {
    /// The time of the read, on the clock of the candles.
    pub(crate) now: Timestamp,
    /// The status of the instrument at `now`: live, stale, or never quoted.
    pub(crate) status: Status,
    /// The part of each minute in which the feed was up.
    pub(crate) coverage: CoverageWindow,
}

/// The cached text of one history, which is valid for one [`Version`].
#[derive(Debug)]
pub(crate) struct CachedHistory {
    options: HistoryOptions,
    version: Version,
    coverage: CoverageWindow,
    usual_gap: Option<Duration>,
    minute: i64,
    /// The number of views of the instrument when the text was written.
    views: u64,
    /// The requested id, the opening, the finished candles separated by commas, and an optional forming candle.
    ///
    /// The text contains the forming candle and its comma only if no read writes that candle.
    text: Bytes,
    /// The range of the opening in `text`: the id and the description as JSON. The lightweight format has no opening.
    opening: Range<usize>,
    /// The range of the finished candles in `text`, which all responses share.
    finished: Range<usize>,
    /// The digest of the opening and the finished candles.
    digest: Digest,
}

impl CachedHistory {
    /// Writes the shared text of `history`. `version` and `coverage` must be those of the time `now`.
    pub(crate) fn new(
        id: &str,
        history: &History,
        version: Version,
        options: HistoryOptions,
        now: Timestamp,
        coverage: CoverageWindow,
    ) -> Self {
        let mut text = Vec::with_capacity(31 * CANDLE_BYTES);
        text.extend_from_slice(id.as_bytes());
        if options.format == Format::Full {
            json::instrument(&mut text, id, history.description.as_deref());
        }
        let start = text.len();
        let minute = now.minute();
        let reads_write_forming = Latest::from(history).forming(now).is_some();
        let mut end = start;
        for one in history.candles(now, listed_gaps(options)) {
            if one.open_time.minute() >= minute && reads_write_forming {
                continue;
            }
            if text.len() > start {
                text.push(b',');
            }
            write_candle(&mut text, one, options, coverage);
            if one.open_time.minute() < minute {
                end = text.len();
            }
        }
        Self {
            options,
            version,
            coverage,
            usual_gap: history.ring.usual_gap(now),
            minute: minute.number(),
            views: history.views,
            digest: Digest::default().with(&text[id.len()..start]).with(&text[start..end]),
            text: text.into_boxed_slice().into(),
            opening: id.len()..start,
            finished: start..end,
        }
    }

    /// Returns the body of the whole history, as `GET /instruments/{id}` sends it.
    pub(crate) fn body(&self, latest: &Latest, context: ReadContext) -> BodyWriter {
        let mut body = BodyWriter::with_capacity(self.opening.len() + FRESH_BYTES);
        body.add_digest(self.digest);
        if self.options.format == Format::Full {
            body.untagged(|out| {
                out.extend_from_slice(&self.text[self.opening.clone()]);
                json::views_and_time(out, latest.views, context.now);
            });
            body.tagged(|out| json::freshness(out, latest.last_time(), context.status.name()));
            body.untagged(|out| out.extend_from_slice(b",\"candles\":"));
        }
        body.untagged(|out| out.push(b'['));
        body.shared(self.text.slice(self.finished.clone()));
        body.tagged(|out| {
            match latest.forming(context.now) {
                Some(forming) => {
                    if !self.finished.is_empty() {
                        out.push(b',');
                    }
                    write_candle(out, forming, self.options, context.coverage);
                }
                None => out.extend_from_slice(&self.text[self.finished.end..]),
            }
            out.extend_from_slice(if self.options.format == Format::Full { b"]}" } else { b"]" });
        });
        body
    }

    /// Returns the options with which the text was written.
    pub(super) const fn options(&self) -> HistoryOptions {
        self.options
    }

    /// Returns the minute in which the text was written.
    pub(super) const fn minute(&self) -> i64 {
        self.minute
    }

    /// Returns the rank of the entry in the cache during `minute`. The lowest rank is replaced first.
    ///
    /// Histories of another minute rank lowest. Otherwise the rank is the number of views.
    pub(super) const fn rank(&self, minute: i64) -> (bool, u64) {
        (self.minute == minute, self.views)
    }

    /// Returns true if the history is of the same minute as `other` and has more views.
    ///
    /// A history of another minute is useless, even of a later minute: the time can go back when a feed is reset.
    pub(super) const fn outranks(&self, other: &Self) -> bool {
        self.minute == other.minute && self.views > other.views
    }

    /// Returns true if the text was written for `id` with `options`.
    pub(super) fn is_of(&self, id: &str, options: HistoryOptions) -> bool {
        self.options == options && self.text[..self.opening.start] == *id.as_bytes()
    }

    /// Returns the coverage with which the text was written.
    pub(crate) const fn coverage(&self) -> CoverageWindow {
        self.coverage
    }

    /// Returns the mean time between two quotes of the finished candles, or `None` if they have fewer than two quotes.
    pub(crate) const fn usual_gap(&self) -> Option<Duration> {
        self.usual_gap
    }

    /// Returns the version of the history for which the text is valid.
    pub(crate) const fn version(&self) -> &Version {
        &self.version
    }
}

/// Returns the treatment of minutes without quotes in the text.
///
/// The lightweight format always lists them, because the chart library draws white space for an item with only a time.
const fn listed_gaps(options: HistoryOptions) -> Gaps {
    match options.format {
        Format::Full => options.gaps,
        Format::Lightweight => Gaps::Filled,
    }
}

fn write_candle(out: &mut Vec<u8>, candle: WindowCandle, options: HistoryOptions, coverage: CoverageWindow) {
    match options.format {
        Format::Full => json::candle(out, candle, coverage.of(candle.open_time.minute())),
        Format::Lightweight => lightweight::item(out, &candle, options.gaps),
    }
}
