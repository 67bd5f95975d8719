//! One client's copy of one instrument, and the events that bring it up to date.
//!
//! There is no queue: a copy remembers what its client was told and is compared with what is true now, by the same code
//! that answers a plain read. However seldom that happens, the latest prices win, and no minute's end and no amendment
//! is lost that a read would still show.

use std::sync::Arc;

use candle_core::{Gaps, History, Minute, State, Timestamp, WindowCandle};

use crate::json::{self, Moment};
use crate::lightweight;
use crate::market::{Market, Status};
use crate::route::{Form, Format};
use crate::sse;

/// One client's copy of one instrument.
#[derive(Debug)]
pub struct Watch {
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
    description: Option<Arc<str>>,
    status: Status,
    last_quote: Option<Timestamp>,
    /// The minute of `now`.
    forming: Minute,
    /// In the order of their minutes.
    candles: Vec<WindowCandle>,
}

impl Watch {
    /// A copy that knows nothing yet.
    pub fn new(id: &str, form: Form) -> Self {
        Self { id: id.into(), form, views: Views::Due, told: None }
    }

    /// Appends the events that turn what the client knows into what a read would answer at `now`: none, if it knows.
    ///
    /// The first is a `snapshot`, which counts as a view. After it come the candles that differ, oldest first: `revised`
    /// where the client had the minute's end already, `final` where it has it now, `candle` for the forming one;
    /// `status` where only the facts around the candles are new; `delisted`; and a `snapshot` again where the past is not what it was.
    pub fn catch_up(&mut self, out: &mut Vec<u8>, market: &Market, now: Timestamp) {
        let Some(history) = self.read(market) else {
            if self.told.take().is_some() {
                self.delisted(out, now);
            }
            return;
        };
        let moment = Moment { now, status: market.status(&history) };
        let truth = Told {
            description: history.description.clone(),
            status: moment.status,
            last_quote: history.last_time(),
            forming: now.minute(),
            candles: history.candles(now, self.gaps()).collect(),
        };
        match self.told.replace(truth).zip(self.told.as_ref()) {
            Some((told, truth)) if truth.continues(&told) => self.changes(out, &told, truth, &history, moment),
            _ => self.snapshot(out, &history, moment),
        }
    }

    /// Appends the end of every minute that was over only after `last`, for a client that was away since.
    pub fn catch_up_since(&mut self, out: &mut Vec<u8>, market: &Market, now: Timestamp, last: Timestamp) {
        self.catch_up(out, market, now);
        let (Some(told), Some(history)) = (&self.told, market.aggregator.history(&self.id)) else { return };
        let moment = Moment { now, status: told.status };
        let missed = told.candles.iter().filter(|candle| candle.minute >= last.minute());
        for candle in missed.filter(|candle| candle.minute < told.forming) {
            self.change(out, "final", &history, moment, *candle);
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

    fn read(&mut self, market: &Market) -> Option<History> {
        match self.views {
            Views::Due => {
                let history = market.aggregator.view(&self.id)?;
                self.views = Views::Counted;
                Some(history)
            }
            Views::Counted => market.aggregator.history(&self.id),
        }
    }

    /// Which candles are compared: for the chart library, white space changes too.
    fn gaps(&self) -> Gaps {
        match self.form.format {
            Format::Full => self.form.gaps,
            Format::Lightweight => Gaps::Filled,
        }
    }

    fn snapshot(&self, out: &mut Vec<u8>, history: &History, moment: Moment) {
        sse::event(out, "snapshot", moment.now, |out| match self.form.format {
            Format::Full => json::history(out, &self.id, history, self.form.gaps, moment),
            Format::Lightweight => lightweight::history(out, history, self.form.gaps, moment.now),
        });
    }

    fn changes(&self, out: &mut Vec<u8>, told: &Told, truth: &Told, history: &History, moment: Moment) {
        let before = out.len();
        for candle in truth.candles.iter().filter(|candle| told.candle(candle.minute) != Some(candle)) {
            let name = match candle.state {
                State::Forming => "candle",
                _ if candle.minute >= told.forming => "final",
                _ => "revised",
            };
            self.change(out, name, history, moment, *candle);
        }
        let facts_differ = (truth.status, truth.last_quote) != (told.status, told.last_quote);
        if out.len() == before && facts_differ {
            sse::event(out, "status", moment.now, |out| json::change(out, &self.id, history, moment, None));
        }
    }

    fn change(&self, out: &mut Vec<u8>, name: &str, history: &History, moment: Moment, candle: WindowCandle) {
        sse::event(out, name, moment.now, |out| match self.form.format {
            Format::Full => json::change(out, &self.id, history, moment, Some(candle)),
            Format::Lightweight => lightweight::item(out, &candle, self.form.gaps),
        });
    }
}

impl Told {
    fn candle(&self, minute: Minute) -> Option<&WindowCandle> {
        let place = self.candles.binary_search_by_key(&minute, |candle| candle.minute).ok()?;
        Some(&self.candles[place])
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
