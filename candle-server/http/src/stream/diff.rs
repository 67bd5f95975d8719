//! Writes the events for the changes of one instrument since the last event that a client received.
//!
//! A stream has no queue. A [`HistoryDiff`] stores the history that its client has received, and compares that history
//! with the current history. A slow client therefore skips intermediate prices, but receives every `final` and
//! `revised` event of the minutes inside the window.

use std::sync::Arc;
use std::time::Duration;

use candle_core::{CoverageWindow, Gaps, History, Latest, Minute, State, Timestamp, Update, Version, WindowCandle};
use candle_engine::Engine;
use candle_engine::status::Status;

use super::sse;
use crate::history::{CachedHistory, ReadContext};
use crate::json::{self, lightweight};
use crate::route::{Format, HistoryOptions};

/// Compares the history that one client has received with the current history.
#[derive(Debug)]
pub(crate) struct HistoryDiff {
    id: Box<str>,
    options: HistoryOptions,
    view: View,
    /// The history that the client has received. `None` before the first snapshot and after `delisted`.
    sent: Option<SentHistory>,
}

/// States if the stream has counted its view. Each stream counts one view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// The view is not counted yet. The next read counts the view.
    Due,
    Counted,
}

#[derive(Debug)]
struct SentHistory {
    /// The version of the history. If version and coverage are unchanged, only the forming candle and the freshness can
    /// have changed.
    version: Version,
    coverage: CoverageWindow,
    usual_gap: Option<Duration>,
    description: Option<Arc<str>>,
    freshness: Freshness,
    /// The minute of the forming candle.
    forming: Minute,
    /// The candles, sorted by minute.
    candles: Vec<WindowCandle>,
}

/// The fields of a history outside its candles. A change of these fields is sent as an event.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Freshness {
    status: Status,
    last_quote: Option<Timestamp>,
}

impl HistoryDiff {
    /// Creates the state of a client that has not received a history.
    pub(crate) fn new(id: &str, options: HistoryOptions) -> Self {
        Self { id: id.into(), options, view: View::Due, sent: None }
    }

    /// Appends the events that update the history of the client to the history of a read at `now`.
    ///
    /// The first event is a `snapshot`, and the stream counts one view. These events follow, oldest candle first:
    /// - `candle`: the forming candle changed
    /// - `final`: the minute of a candle ended
    /// - `revised`: a candle changed after its `final`
    /// - `status`: only the fields outside the candles changed
    /// - `delisted`: the instrument is not listed any more
    /// - `snapshot`: the history changed in another way, for example after a restart of the feed
    pub(crate) fn write_changes(&mut self, out: &mut Vec<u8>, engine: &Engine, now: Timestamp) {
        let coverage = engine.feeds.coverage(now);
        match self.read(engine, now, coverage) {
            Some(Update::Unchanged(latest)) => {
                let usual_gap = self.sent.as_ref().and_then(|sent| sent.usual_gap);
                let context = ReadContext { now, status: engine.status(&latest, usual_gap), coverage };
                self.write_forming(out, &latest, context);
            }
            Some(Update::Changed(history, version)) => {
                let usual_gap = history.ring.usual_gap(now);
                let status = engine.status(&Latest::from(&*history), usual_gap);
                self.write_history(out, &history, version, ReadContext { now, status, coverage });
            }
            None => {
                if self.sent.take().is_some() {
                    self.write_delisted(out, now);
                }
            }
        }
    }

    fn write_forming(&mut self, out: &mut Vec<u8>, latest: &Latest, context: ReadContext) {
        let Some(sent) = &mut self.sent else { return };
        let freshness = Freshness { status: context.status, last_quote: latest.last_time() };
        let before = std::mem::replace(&mut sent.freshness, freshness);
        let forming =
            latest.forming(context.now).filter(|forming| sent.candle(forming.open_time.minute()) != Some(forming));
        if let Some(forming) = forming {
            sent.insert(forming);
            self.write_candle(out, "candle", latest, context, forming);
        }
        if freshness != before && (forming.is_none() || !self.candles_carry_status(freshness, before)) {
            self.write_status(out, latest, context);
        }
    }

    fn write_history(&mut self, out: &mut Vec<u8>, history: &History, version: Version, context: ReadContext) {
        let (latest, now) = (Latest::from(history), context.now);
        let current = SentHistory {
            version,
            coverage: context.coverage,
            usual_gap: history.ring.usual_gap(now),
            description: history.description.clone(),
            freshness: Freshness { status: context.status, last_quote: latest.last_time() },
            forming: now.minute(),
            candles: history.candles(now, self.compared_gaps()).collect(),
        };
        match self.sent.replace(current).zip(self.sent.as_ref()) {
            Some((sent, current)) if current.continues(&sent) => {
                self.write_differences(out, &sent, current, &latest, context);
            }
            _ => self.write_snapshot(out, history, version, context),
        }
    }

    /// Appends the events for a client that reconnected: the changes, then a `final` for each minute that ended after
    /// `last`.
    pub(crate) fn write_changes_since(&mut self, out: &mut Vec<u8>, engine: &Engine, now: Timestamp, last: Timestamp) {
        self.write_changes(out, engine, now);
        let (Some(sent), Some(history)) = (&self.sent, engine.aggregator.history(&self.id)) else { return };
        let latest = Latest::from(&history);
        let context = ReadContext { now, status: sent.freshness.status, coverage: sent.coverage };
        let missed = sent.candles.iter().filter(|candle| candle.open_time.minute() >= last.minute());
        for candle in missed.filter(|candle| candle.open_time.minute() < sent.forming) {
            self.write_candle(out, "final", &latest, context, *candle);
        }
    }

    /// Appends a `delisted` event.
    pub(crate) fn write_delisted(&self, out: &mut Vec<u8>, now: Timestamp) {
        sse::event(out, "delisted", now, |out| {
            out.extend_from_slice(b"{\"id\":");
            json::string(out, &self.id);
            out.push(b'}');
        });
    }

    /// Returns true if the client has received a history that is still listed.
    pub(crate) const fn is_listed(&self) -> bool {
        self.sent.is_some()
    }

    fn read(&mut self, engine: &Engine, now: Timestamp, coverage: CoverageWindow) -> Option<Update> {
        let known = self.sent.as_ref().filter(|sent| sent.coverage == coverage).map(|sent| &sent.version);
        match self.view {
            View::Due => {
                let update = engine.aggregator.history_if_changed_counting_view(&self.id, now, known)?;
                self.view = View::Counted;
                Some(update)
            }
            View::Counted => engine.aggregator.history_if_changed(&self.id, now, known),
        }
    }

    /// Returns the treatment of minutes without quotes in the comparison.
    ///
    /// The lightweight format always includes them, because it sends such minutes as items that can change.
    fn compared_gaps(&self) -> Gaps {
        match self.options.format {
            Format::Full => self.options.gaps,
            Format::Lightweight => Gaps::Filled,
        }
    }

    fn write_snapshot(&self, out: &mut Vec<u8>, history: &History, version: Version, context: ReadContext) {
        let text = CachedHistory::new(&self.id, history, version, self.options, context.now, context.coverage);
        let body = text.body(&Latest::from(history), context).into_vec();
        sse::event(out, "snapshot", context.now, |out| out.extend_from_slice(&body));
    }

    fn write_differences(
        &self,
        out: &mut Vec<u8>,
        sent: &SentHistory,
        current: &SentHistory,
        latest: &Latest,
        context: ReadContext,
    ) {
        let before = out.len();
        let is_sent = |candle: &WindowCandle| {
            let is_covered_alike =
                sent.coverage.of(candle.open_time.minute()) == current.coverage.of(candle.open_time.minute());
            sent.candle(candle.open_time.minute()) == Some(candle) && is_covered_alike
        };
        for candle in current.candles.iter().filter(|candle| !is_sent(candle)) {
            let name = match candle.state {
                State::Forming => "candle",
                _ if candle.open_time.minute() >= sent.forming => "final",
                _ => "revised",
            };
            self.write_candle(out, name, latest, context, *candle);
        }
        let needs_status = out.len() == before || !self.candles_carry_status(current.freshness, sent.freshness);
        if needs_status && current.freshness != sent.freshness {
            self.write_status(out, latest, context);
        }
    }

    /// Returns true if the candle events already contain the changed freshness.
    ///
    /// An item of the lightweight format has no status, so a changed status needs an event of its own.
    fn candles_carry_status(&self, now: Freshness, before: Freshness) -> bool {
        self.options.format == Format::Full || now.status == before.status
    }

    fn write_candle(&self, out: &mut Vec<u8>, name: &str, latest: &Latest, context: ReadContext, candle: WindowCandle) {
        sse::event(out, name, context.now, |out| match self.options.format {
            Format::Full => self.write_fields(out, latest, context, Some(candle)),
            Format::Lightweight => lightweight::item(out, &candle, self.options.gaps),
        });
    }

    fn write_status(&self, out: &mut Vec<u8>, latest: &Latest, context: ReadContext) {
        sse::event(out, "status", context.now, |out| self.write_fields(out, latest, context, None));
    }

    /// Appends the fields outside the candles, and `candle` if given.
    fn write_fields(&self, out: &mut Vec<u8>, latest: &Latest, context: ReadContext, candle: Option<WindowCandle>) {
        out.extend_from_slice(b"{\"id\":");
        json::string(out, &self.id);
        json::views_and_time(out, latest.views, context.now);
        json::freshness(out, latest.last_time(), context.status.name());
        if let Some(candle) = candle {
            out.extend_from_slice(b",\"candle\":");
            json::candle(out, candle, context.coverage.of(candle.open_time.minute()));
        }
        out.push(b'}');
    }
}

impl SentHistory {
    fn candle(&self, minute: Minute) -> Option<&WindowCandle> {
        let index = self.candles.binary_search_by_key(&minute, |candle| candle.open_time.minute()).ok()?;
        Some(&self.candles[index])
    }

    /// Replaces the candle of the same minute, or inserts `forming` in the order of minutes.
    fn insert(&mut self, forming: WindowCandle) {
        match self.candles.binary_search_by_key(&forming.open_time.minute(), |candle| candle.open_time.minute()) {
            Ok(index) => self.candles[index] = forming,
            Err(index) => self.candles.insert(index, forming),
        }
    }

    /// Returns true if candle events can update `sent` to `self`. If false, the client needs a snapshot.
    ///
    /// The time must not have gone back. The description must be the same. Only candles outside the window may be
    /// missing.
    fn continues(&self, sent: &Self) -> bool {
        let first = self.forming.saturating_add(1 - candle_core::WINDOW_MINUTES);
        self.forming >= sent.forming
            && self.description == sent.description
            && sent
                .candles
                .iter()
                .all(|candle| candle.open_time.minute() < first || self.candle(candle.open_time.minute()).is_some())
    }
}

#[cfg(test)]
mod tests;
