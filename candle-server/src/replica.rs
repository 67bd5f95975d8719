//! One client's copy of one instrument, and the events that bring it up to date.
//!
//! There is no queue: a copy remembers what its client was told and is compared with what is true now, by the same code
//! that answers a plain read. However seldom that happens, the latest prices win, and no minute's end and no amendment
//! is lost that a read would still show.

use std::sync::Arc;
use std::time::Duration;

use candle_core::{CoverageWindow, Gaps, History, Latest, Minute, State, Timestamp, Update, Version, WindowCandle};

use crate::engine::Engine;
use crate::engine::status::Status;
use crate::json::{self, Moment};
use crate::lightweight;
use crate::rendering::Rendering;
use crate::route::{Form, Format};
use crate::sse;

/// One client's copy of one instrument.
#[derive(Debug)]
pub struct Replica {
    id: Box<str>,
    form: Form,
    views: Views,
    /// What the client was told last; `None` where it knows of no such instrument.
    told: Option<Told>,
}

/// Whether this client's view is still to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Views {
    Due,
    Counted,
}

#[derive(Debug)]
struct Told {
    /// While it stands, nothing but the forming candle and the facts around the candles can differ.
    version: Version,
    /// The same of the feed's coverage.
    coverage: CoverageWindow,
    usual_gap: Option<Duration>,
    description: Option<Arc<str>>,
    facts: Facts,
    /// The minute of `now`.
    forming: Minute,
    /// In the order of their minutes.
    candles: Vec<WindowCandle>,
}

/// What is told around the candles and worth an event of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Facts {
    status: Status,
    last_quote: Option<Timestamp>,
}

impl Replica {
    /// A copy that knows nothing yet.
    pub fn new(id: &str, form: Form) -> Self {
        Self { id: id.into(), form, views: Views::Due, told: None }
    }

    /// Appends the events that turn what the client knows into what a read would answer at `now`: none, if it knows.
    ///
    /// The first is a `snapshot`, which counts as a view. After it come the candles that differ, oldest first: `revised`
    /// where the client had the minute's end already, `final` where it has it now, `candle` for the forming one;
    /// `status` where only the facts around the candles are new; `delisted`; and a `snapshot` again where the past is not what it was.
    pub fn catch_up(&mut self, out: &mut Vec<u8>, engine: &Engine, now: Timestamp) {
        let coverage = engine.feeds.coverage(now);
        match self.read(engine, now, coverage) {
            Some(Update::Unchanged(latest)) => {
                let usual_gap = self.told.as_ref().and_then(|told| told.usual_gap);
                let moment = Moment { now, status: engine.status(&latest, usual_gap), coverage };
                self.catch_up_forming(out, &latest, moment);
            }
            Some(Update::Changed(history, version)) => {
                let usual_gap = history.ring.usual_gap(now);
                let moment = Moment { now, status: engine.status(&Latest::from(&*history), usual_gap), coverage };
                self.catch_up_all(out, &history, version, moment);
            }
            None => {
                if self.told.take().is_some() {
                    self.delisted(out, now);
                }
            }
        }
    }

    fn catch_up_forming(&mut self, out: &mut Vec<u8>, latest: &Latest, moment: Moment) {
        let Some(told) = &mut self.told else { return };
        let facts = Facts { status: moment.status, last_quote: latest.last_time() };
        let before = std::mem::replace(&mut told.facts, facts);
        let forming = latest.forming(moment.now).filter(|forming| told.candle(forming.minute) != Some(forming));
        if let Some(forming) = forming {
            told.put(forming);
            self.change(out, "candle", latest, moment, forming);
        }
        if facts != before && (forming.is_none() || !self.candles_tell_status(facts, before)) {
            self.status(out, latest, moment);
        }
    }

    fn catch_up_all(&mut self, out: &mut Vec<u8>, history: &History, version: Version, moment: Moment) {
        let (latest, now) = (Latest::from(history), moment.now);
        let truth = Told {
            version,
            coverage: moment.coverage,
            usual_gap: history.ring.usual_gap(now),
            description: history.description.clone(),
            facts: Facts { status: moment.status, last_quote: latest.last_time() },
            forming: now.minute(),
            candles: history.candles(now, self.gaps()).collect(),
        };
        match self.told.replace(truth).zip(self.told.as_ref()) {
            Some((told, truth)) if truth.continues(&told) => self.changes(out, &told, truth, &latest, moment),
            _ => self.snapshot(out, history, version, moment),
        }
    }

    /// Appends the end of every minute that was over only after `last`, for a client that was away since.
    pub fn catch_up_since(&mut self, out: &mut Vec<u8>, engine: &Engine, now: Timestamp, last: Timestamp) {
        self.catch_up(out, engine, now);
        let (Some(told), Some(history)) = (&self.told, engine.aggregator.history(&self.id)) else { return };
        let latest = Latest::from(&history);
        let moment = Moment { now, status: told.facts.status, coverage: told.coverage };
        let missed = told.candles.iter().filter(|candle| candle.minute >= last.minute());
        for candle in missed.filter(|candle| candle.minute < told.forming) {
            self.change(out, "final", &latest, moment, *candle);
        }
    }

    /// Appends that there is no such instrument, whatever the client knows.
    pub fn delisted(&self, out: &mut Vec<u8>, now: Timestamp) {
        sse::event(out, "delisted", now, |out| {
            out.extend_from_slice(b"{\"id\":");
            json::string(out, &self.id);
            out.push(b'}');
        });
    }

    /// Whether the client knows of the instrument.
    pub const fn is_listed(&self) -> bool {
        self.told.is_some()
    }

    fn read(&mut self, engine: &Engine, now: Timestamp, coverage: CoverageWindow) -> Option<Update> {
        let known = self.told.as_ref().filter(|told| told.coverage == coverage).map(|told| &told.version);
        match self.views {
            Views::Due => {
                let update = engine.aggregator.history_if_changed_counting_view(&self.id, now, known)?;
                self.views = Views::Counted;
                Some(update)
            }
            Views::Counted => engine.aggregator.history_if_changed(&self.id, now, known),
        }
    }

    /// Which candles are compared: for the chart library, white space changes too.
    fn gaps(&self) -> Gaps {
        match self.form.format {
            Format::Full => self.form.gaps,
            Format::Lightweight => Gaps::Filled,
        }
    }

    fn snapshot(&self, out: &mut Vec<u8>, history: &History, version: Version, moment: Moment) {
        let rendering = Rendering::new(&self.id, history, version, self.form, moment.now, moment.coverage);
        let body = rendering.document(&Latest::from(history), moment).into_body();
        sse::event(out, "snapshot", moment.now, |out| out.extend_from_slice(&body));
    }

    fn changes(&self, out: &mut Vec<u8>, told: &Told, truth: &Told, latest: &Latest, moment: Moment) {
        let before = out.len();
        let is_told = |candle: &WindowCandle| {
            let covered_alike = told.coverage.of(candle.minute) == truth.coverage.of(candle.minute);
            told.candle(candle.minute) == Some(candle) && covered_alike
        };
        for candle in truth.candles.iter().filter(|candle| !is_told(candle)) {
            let name = match candle.state {
                State::Forming => "candle",
                _ if candle.minute >= told.forming => "final",
                _ => "revised",
            };
            self.change(out, name, latest, moment, *candle);
        }
        let is_untold = out.len() == before || !self.candles_tell_status(truth.facts, told.facts);
        if is_untold && truth.facts != told.facts {
            self.status(out, latest, moment);
        }
    }

    /// Whether an event of a candle tells what changed around the candles: the chart library's items have no room for it,
    /// but leave nothing out as long as the status is what it was.
    fn candles_tell_status(&self, now: Facts, before: Facts) -> bool {
        self.form.format == Format::Full || now.status == before.status
    }

    fn change(&self, out: &mut Vec<u8>, name: &str, latest: &Latest, moment: Moment, candle: WindowCandle) {
        sse::event(out, name, moment.now, |out| match self.form.format {
            Format::Full => json::change(out, &self.id, latest, moment, Some(candle)),
            Format::Lightweight => lightweight::item(out, &candle, self.form.gaps),
        });
    }

    fn status(&self, out: &mut Vec<u8>, latest: &Latest, moment: Moment) {
        sse::event(out, "status", moment.now, |out| json::change(out, &self.id, latest, moment, None));
    }
}

impl Told {
    fn candle(&self, minute: Minute) -> Option<&WindowCandle> {
        let place = self.candles.binary_search_by_key(&minute, |candle| candle.minute).ok()?;
        Some(&self.candles[place])
    }

    /// Notes a forming candle: a new one is the newest.
    fn put(&mut self, forming: WindowCandle) {
        match self.candles.binary_search_by_key(&forming.minute, |candle| candle.minute) {
            Ok(place) => self.candles[place] = forming,
            Err(place) => self.candles.insert(place, forming),
        }
    }

    /// Whether events can lead from `told` to here: time went on, and nothing vanished but at the window's old end.
    fn continues(&self, told: &Self) -> bool {
        let first = self.forming.saturating_add(1 - candle_core::WINDOW_MINUTES);
        self.forming >= told.forming
            && self.description == told.description
            && told.candles.iter().all(|candle| candle.minute < first || self.candle(candle.minute).is_some())
    }
}

#[cfg(test)]
mod tests;
