//! The text of histories that stays the same from read to read, kept so that a read need not write it again.
//!
//! Of 30 candles 29 are over and change only where a late tick amends one. Their text is written once a minute for each
//! instrument that is asked for; a read copies it and writes the forming candle, the views and the moment. The core's
//! [`Edition`] proves under the instrument's lock that the text still stands.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{CoverageWindow, Edition, Gaps, History, Latest, Timestamp};
use parking_lot::Mutex;
use rapidhash::fast::RandomState;

use crate::document::{Digest, Document};
use crate::json::{self, Moment};

/// About the bytes of one candle.
const CANDLE_BYTES: usize = 240;
/// About the bytes of a history besides its kept text: one candle, views, moment, brackets.
const FRESH_BYTES: usize = CANDLE_BYTES + 200;

/// Most texts kept at once, about 7.5 KB each: 120 MB when all of them are asked for. Of 50,000 instruments that are
/// asked for by Zipf's law this is nine reads in ten, and writing the tenth afresh costs less than its way through the
/// socket.
pub const KEPT: usize = 16_384;

/// The text of one history as long as its [`Edition`] stands.
#[derive(Debug)]
pub struct Rendering {
    id: Box<str>,
    gaps: Gaps,
    edition: Edition,
    coverage: CoverageWindow,
    /// Of the candles that are over.
    usual_gap: Option<Duration>,
    minute: i64,
    /// How often the instrument had been viewed by then.
    views: u64,
    /// The beginning of the history, the candles that are over, and the forming one where it is part of the edition; one
    /// after another.
    text: Box<[u8]>,
    /// Where the candles that are over begin.
    closed: usize,
    /// Where the forming one begins; the end, where each read writes it.
    forming: usize,
    /// Of the beginning and the candles that are over.
    digest: Digest,
}

impl Rendering {
    /// Writes what stays of `history` as seen from `now`, while it is in `edition` there and the feed's coverage is this.
    pub fn new(
        id: &str,
        history: &History,
        edition: Edition,
        gaps: Gaps,
        now: Timestamp,
        coverage: CoverageWindow,
    ) -> Self {
        let mut text = Vec::with_capacity(31 * CANDLE_BYTES);
        json::instrument(&mut text, id, history.description.as_deref());
        let closed = text.len();
        let minute = now.minute();
        let is_written_by_each_read = Latest::from(history).forming(now).is_some();
        let mut forming = None;
        for (place, candle) in history.candles(now, gaps).enumerate() {
            if candle.minute == minute {
                forming = Some(text.len());
                if is_written_by_each_read {
                    break;
                }
            }
            if place > 0 {
                text.push(b',');
            }
            json::candle(&mut text, candle, coverage.of(candle.minute));
        }
        let forming = forming.unwrap_or(text.len());
        let digest = Digest::default().with(&text[..closed]).with(&text[closed..forming]);
        Self {
            id: id.into(),
            gaps,
            edition,
            coverage,
            usual_gap: history.ring.usual_gap(now),
            minute: minute.number(),
            views: history.views,
            text: text.into(),
            closed,
            forming,
            digest,
        }
    }

    /// Appends the whole history, as `GET /instruments/{id}` answers it.
    pub fn write(&self, document: &mut Document, latest: &Latest, moment: Moment) {
        document.count(self.digest);
        document.ignored(|out| {
            out.reserve(self.text.len() + FRESH_BYTES);
            out.extend_from_slice(&self.text[..self.closed]);
            json::reading(out, latest.views, moment.now);
        });
        document.counted(|out| json::freshness(out, latest.last_time(), moment.status));
        document.ignored(|out| {
            out.extend_from_slice(b",\"candles\":[");
            out.extend_from_slice(&self.text[self.closed..self.forming]);
        });
        document.counted(|out| {
            match latest.forming(moment.now) {
                Some(candle) => {
                    if self.closed < self.forming {
                        out.push(b',');
                    }
                    json::candle(out, candle, moment.coverage.of(candle.minute));
                }
                None => out.extend_from_slice(&self.text[self.forming..]),
            }
            out.extend_from_slice(b"]}");
        });
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
    pub const fn edition(&self) -> &Edition {
        &self.edition
    }
}

/// At most [`KEPT`] renderings, each in the one place that its id and gaps hash to.
///
/// Where two meet, the one of the later read minute stays, and within one minute the one that is viewed more: so the
/// places fill with what is asked for most, and there is no list to keep in order.
#[derive(Debug)]
pub struct Renderings {
    /// Held for the copy of one pointer, never while bytes are written.
    places: Box<[Mutex<Option<Arc<Rendering>>>]>,
    hasher: RandomState,
}

impl Renderings {
    /// Nothing yet, with room for at most `kept` renderings, rounded up to a power of two.
    pub fn new(kept: usize) -> Self {
        let places = (0..kept.max(1).next_power_of_two()).map(|_| Mutex::default()).collect();
        Self { places, hasher: RandomState::new() }
    }

    /// The rendering of an instrument, if one is kept.
    pub fn get(&self, id: &str, gaps: Gaps) -> Option<Arc<Rendering>> {
        let kept = self.place(id, gaps).lock().clone();
        kept.filter(|rendering| *rendering.id == *id && rendering.gaps == gaps)
    }

    /// Keeps a rendering, unless its place holds one that is viewed more.
    pub fn keep(&self, rendering: &Arc<Rendering>) {
        let mut place = self.place(&rendering.id, rendering.gaps).lock();
        let stays = place.as_ref().is_some_and(|held| {
            held.id != rendering.id && held.minute == rendering.minute && held.views > rendering.views
        });
        if !stays {
            let held = place.replace(Arc::clone(rendering));
            drop(place);
            // Its memory is given back out of the lock.
            drop(held);
        }
    }

    fn place(&self, id: &str, gaps: Gaps) -> &Mutex<Option<Arc<Rendering>>> {
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
        let hash = self.hasher.hash_one((id, gaps)) as usize;
        &self.places[hash & (self.places.len() - 1)]
    }
}
