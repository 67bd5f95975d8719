//! The text of histories that stays the same from read to read, kept so that a read need not write it again.
//!
//! Of 30 candles 29 are over and change only where a late tick amends one. Their text is written once a minute for each
//! instrument that is asked for; a read copies it and writes the forming candle, the views and the moment. The core's
//! [`Version`] proves under the instrument's lock that the text still stands.

mod cache;

pub use cache::{KEPT, Renderings};

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use candle_core::{CoverageWindow, Gaps, History, Latest, Timestamp, Version, WindowCandle};

use crate::document::{Digest, Document};
use crate::json::{self, Moment};
use crate::lightweight;
use crate::route::{Form, Format};

/// About the bytes of one candle.
const CANDLE_BYTES: usize = 240;
/// About the bytes of a history besides its candles that are over: id, description, one candle, views, moment, brackets.
const FRESH_BYTES: usize = 2 * CANDLE_BYTES + 200;

/// The text of one history as long as its [`Version`] stands.
#[derive(Debug)]
pub struct Rendering {
    form: Form,
    version: Version,
    coverage: CoverageWindow,
    /// Of the candles that are over.
    usual_gap: Option<Duration>,
    minute: i64,
    /// How often the instrument had been viewed by then.
    views: u64,
    /// The id as it is asked for, what comes before the views (nothing in the chart library's format, which has no room
    /// for them), the candles that are over with commas between them, and the forming one with its comma where it is part
    /// of the version; one after another, so that they come near together.
    text: Bytes,
    /// Where in it the beginning of an answer lies, behind the id.
    opening: Range<usize>,
    /// Where in it the candles that are over lie. Every answer shares them.
    closed: Range<usize>,
    /// Of the beginning and the candles that are over.
    digest: Digest,
}

impl Rendering {
    /// Writes what stays of `history` as seen from `now`, while it is in `version` there and the feed's coverage is this.
    pub fn new(
        id: &str,
        history: &History,
        version: Version,
        form: Form,
        now: Timestamp,
        coverage: CoverageWindow,
    ) -> Self {
        let mut text = Vec::with_capacity(31 * CANDLE_BYTES);
        text.extend_from_slice(id.as_bytes());
        if form.format == Format::Full {
            json::instrument(&mut text, id, history.description.as_deref());
        }
        let start = text.len();
        let minute = now.minute();
        let is_written_by_each_read = Latest::from(history).forming(now).is_some();
        let mut end = start;
        for one in history.candles(now, listed(form)).filter(|one| one.minute < minute || !is_written_by_each_read) {
            if text.len() > start {
                text.push(b',');
            }
            candle(&mut text, one, form, coverage);
            if one.minute < minute {
                end = text.len();
            }
        }
        Self {
            form,
            version,
            coverage,
            usual_gap: history.ring.usual_gap(now),
            minute: minute.number(),
            views: history.views,
            digest: Digest::default().with(&text[id.len()..start]).with(&text[start..end]),
            text: text.into_boxed_slice().into(),
            opening: id.len()..start,
            closed: start..end,
        }
    }

    /// The whole history, as `GET /instruments/{id}` answers it.
    pub fn document(&self, latest: &Latest, moment: Moment) -> Document {
        let mut document = Document::with_room(self.opening.len() + FRESH_BYTES);
        document.count(self.digest);
        if self.form.format == Format::Full {
            document.ignored(|out| {
                out.extend_from_slice(&self.text[self.opening.clone()]);
                json::reading(out, latest.views, moment.now);
            });
            document.counted(|out| json::freshness(out, latest.last_time(), moment.status));
            document.ignored(|out| out.extend_from_slice(b",\"candles\":"));
        }
        document.ignored(|out| out.push(b'['));
        document.share(self.text.slice(self.closed.clone()));
        document.counted(|out| {
            match latest.forming(moment.now) {
                Some(forming) => {
                    if !self.closed.is_empty() {
                        out.push(b',');
                    }
                    candle(out, forming, self.form, moment.coverage);
                }
                None => out.extend_from_slice(&self.text[self.closed.end..]),
            }
            out.extend_from_slice(if self.form.format == Format::Full { b"]}" } else { b"]" });
        });
        document
    }

    /// Whether it is of this instrument in this form.
    fn is_of(&self, id: &str, form: Form) -> bool {
        self.form == form && self.text[..self.opening.start] == *id.as_bytes()
    }

    /// The coverage that it tells.
    pub const fn coverage(&self) -> CoverageWindow {
        self.coverage
    }

    /// The mean time between two quotes, where there were two whose minutes are over.
    pub const fn usual_gap(&self) -> Option<Duration> {
        self.usual_gap
    }

    /// What it stands for.
    pub const fn version(&self) -> &Version {
        &self.version
    }
}

/// Which candles a form lists: the chart library draws white space where one has a time alone.
const fn listed(form: Form) -> Gaps {
    match form.format {
        Format::Full => form.gaps,
        Format::Lightweight => Gaps::Filled,
    }
}

/// Appends one candle.
fn candle(out: &mut Vec<u8>, candle: WindowCandle, form: Form, coverage: CoverageWindow) {
    match form.format {
        Format::Full => json::candle(out, candle, coverage.of(candle.minute)),
        Format::Lightweight => lightweight::item(out, &candle, form.gaps),
    }
}
