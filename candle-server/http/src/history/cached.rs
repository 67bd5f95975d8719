//! The text of one history that is equal in every read.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use candle_core::{CoverageWindow, Gaps, History, Latest, Timestamp, Version, WindowCandle};
use candle_engine::status::Status;

use crate::body_writer::{BodyWriter, Digest};
use crate::json::{self, lightweight};
use crate::route::{Format, HistoryOptions};

/// The approximate number of bytes of one candle.
const CANDLE_BYTES: usize = 240;
/// The approximate number of bytes of a history without its finished candles: id, description, one candle, views, time.
const FRESH_BYTES: usize = 2 * CANDLE_BYTES + 200;

/// The values of one read that a cached text does not have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadContext {
    /// The time on the candles' clock.
    pub(crate) now: Timestamp,
    /// The freshness of the history at that time.
    pub(crate) status: Status,
    /// The minutes that the feed covered.
    pub(crate) coverage: CoverageWindow,
}

/// The text of one history, valid for one [`Version`].
#[derive(Debug)]
pub(crate) struct CachedHistory {
    options: HistoryOptions,
    version: Version,
    coverage: CoverageWindow,
    usual_gap: Option<Duration>,
    minute: i64,
    /// The views of the instrument when the text was written.
    views: u64,
    /// Four texts, one after another in memory: the requested id, the opening, the finished candles separated by commas,
    /// and the forming candle with its comma if the version covers it.
    text: Bytes,
    /// The range of the opening, which ends before the views. Empty in the lightweight format.
    opening: Range<usize>,
    /// The range of the finished candles, which all responses share.
    finished: Range<usize>,
    /// The digest of the opening and the finished candles.
    digest: Digest,
}

impl CachedHistory {
    /// Writes the constant text of `history` at `now`. `version` and `coverage` are those at `now`.
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

    /// The whole history, as `GET /instruments/{id}` returns it.
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

    /// The options of the text.
    pub(super) const fn options(&self) -> HistoryOptions {
        self.options
    }

    /// The minute in which the text was written.
    pub(super) const fn minute(&self) -> i64 {
        self.minute
    }

    /// The rank in a cache during `minute`: histories of another minute rank lowest, then those with fewer views.
    pub(super) const fn rank(&self, minute: i64) -> (bool, u64) {
        (self.minute == minute, self.views)
    }

    /// Returns true if the history has more views than `other`, and the same minute.
    ///
    /// A history of another minute is useless, be it earlier, or later because a feed was reset.
    pub(super) const fn outranks(&self, other: &Self) -> bool {
        self.minute == other.minute && self.views > other.views
    }

    /// Returns true if the text belongs to this id and these options.
    pub(super) fn is_of(&self, id: &str, options: HistoryOptions) -> bool {
        self.options == options && self.text[..self.opening.start] == *id.as_bytes()
    }

    /// The coverage of the text.
    pub(crate) const fn coverage(&self) -> CoverageWindow {
        self.coverage
    }

    /// The mean time between two quotes of finished candles, if there were two.
    pub(crate) const fn usual_gap(&self) -> Option<Duration> {
        self.usual_gap
    }

    /// The version of the history that the text belongs to.
    pub(crate) const fn version(&self) -> &Version {
        &self.version
    }
}

/// The gaps that a history lists. The chart library draws white space for an item with only a time.
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
