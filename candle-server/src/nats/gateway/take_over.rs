//! Going on where another gateway stopped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, CoverageRing, Timestamp};

use super::{Active, Gateway, HOLD, Link, Opening, Writer, supply};
use crate::clock::ClockMode;
use crate::feeds::CATALOGUE_REPLAY_LIMIT;
use crate::journal::Write;
use crate::nats::begin::Found;
use crate::nats::checkpoint::FirstRound;
use crate::nats::follower::{Follower, Last};
use crate::nats::message::Writes;
use crate::nats::outbox::{MAX_HELD_BYTES, Outbox};

/// How long a feed must have been up, and this gateway the one that writes, before what the feed does not list is
/// delisted: by then it has announced all it has.
const SETTLED: Duration = CATALOGUE_REPLAY_LIMIT.saturating_add(Duration::from_secs(2));

/// The same as a span of time on the candles' clock.
#[expect(clippy::cast_possible_truncation, reason = "half a minute")]
const HOLD_MICROS: i64 = HOLD.as_micros() as i64;

/// How far the log's time may be ahead of this machine's clock before that is worth a line, in microseconds: clocks that
/// are kept differ by far less, and a take-over waits for seconds.
const FAR_AHEAD_MICROS: i64 = 60_000_000;

/// By how many seconds a log that tells `told` is ahead of a clock that shows `now`, if that is far.
const fn far_ahead(told: Timestamp, now: Timestamp) -> Option<i64> {
    let ahead = told.as_micros().saturating_sub(now.as_micros());
    if ahead > FAR_AHEAD_MICROS { Some(ahead / 1_000_000) } else { None }
}

/// What a feed that does not list an instrument means by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nats) enum Catalogue {
    /// That there is none: it announces all that there are.
    Whole,
    /// Nothing.
    None,
}

type Listed = HashMap<Box<str>, Option<Arc<str>>>;

/// All that is listed, with its descriptions.
fn listed(aggregator: &Aggregator) -> Listed {
    /// How many are looked at under one lock of the catalogue.
    const PAGE: usize = 1000;
    let mut listed = HashMap::new();
    let mut page = aggregator.page(None, "", PAGE);
    while let Some(last) = page.last().map(|summary| summary.id.clone()) {
        listed.extend(page.into_iter().map(|summary| (summary.id.as_str().into(), summary.description)));
        page = aggregator.page(Some(last.as_str()), "", PAGE);
    }
    listed
}

impl Gateway {
    /// Begins to write behind the opening that is stored at `sequence`: what the log lacks of what is held here, and
    /// nothing else.
    pub(super) fn take_over(&mut self, link: &Link, opening: &Opening, sequence: u64) -> Active {
        let now = self.now();
        let last = Last { sequence, writes: opening.flight.header.clone() };
        let held = self.outbox.bytes();
        let outbox = std::mem::replace(&mut self.outbox, Outbox::new(MAX_HELD_BYTES));
        self.list_missing(&link.follower);
        let again = self.outbox.append_new(&outbox, &link.follower, self.engine.clock.now());
        // Whether it was delisted once or twice meanwhile, it is not listed now.
        for id in again.iter().filter(|id| self.engine.aggregator.resolve(id).is_none()) {
            self.outbox.with_back(now, |piece| piece.push(Write::Delist { id }));
        }
        let (new, epoch) = (self.outbox.bytes(), last.writes.epoch);
        let first_round = if link.checkpoint == Found::Whole { FirstRound::InTurn } else { FirstRound::AtOnce };
        tracing::info!(log = %self.way.url, epoch, held, new, "this gateway writes the log");
        self.warn_of_clocks(opening);
        Active {
            coverage: self.coverage(opening),
            last,
            flight: None,
            sent: now,
            writer: Writer::new(&link.log, link.created, first_round, now, link.read),
            opened: sequence,
            reconcile_at: (self.catalogue == Catalogue::Whole).then_some(now + SETTLED),
        }
    }

    /// Says so where the log's time is far ahead of this machine's clock: it stands still until that has caught up, as it
    /// never goes back. Which of two clocks is wrong can't be known here; going back would cost everyone the candles of
    /// the last half hour, and if it is this one, for nothing.
    fn warn_of_clocks(&self, opening: &Opening) {
        let told = opening.before.as_ref().and_then(Writes::now);
        let is_wall = self.engine.clock.mode() == ClockMode::Wall;
        if let Some(seconds) = told.filter(|_| is_wall).and_then(|told| far_ahead(told, self.engine.clock.now())) {
            tracing::warn!(
                log = %self.way.url,
                "the log's time is {seconds} s ahead of this machine's clock, and stands still for so long: either this \
                 clock is wrong or that of the gateway before was"
            );
        }
    }

    /// Lists what the feed lists and the log does not, or otherwise described.
    fn list_missing(&mut self, follower: &Follower) {
        let now = self.now();
        let known = listed(follower.aggregator());
        let mut missing: Vec<_> = listed(&self.engine.aggregator).into_iter().collect();
        missing.retain(|(id, description)| known.get(id) != Some(description));
        missing.sort();
        for (id, description) in &missing {
            let write = Write::List { id, description: description.as_deref() };
            self.outbox.with_back(now, |piece| piece.push(write));
        }
    }

    /// The coverage from which this gateway goes on: as the log has it, and since then as its own feed was, of which it
    /// holds all that the log lacks.
    fn coverage(&self, opening: &Opening) -> CoverageRing {
        let feed = self.engine.feeds.coverage_ring();
        let Some(before) = &opening.before else { return feed };
        let mut coverage = before.coverage().unwrap_or_default();
        let heard = before.now().unwrap_or(Timestamp::MIN);
        // Where that one had no quotes for longer than they are held, the rest is gone.
        let held_since = Some(heard.saturating_add(-HOLD_MICROS));
        let now = opening.flight.header.now().unwrap_or(heard);
        supply::tell(&mut coverage, heard, now, &feed, self.whole_since.max(held_since));
        coverage
    }

    /// Tells all that the feed lists, and what it does not, where some of it was lost on the way here.
    pub(super) fn tell_catalogue(&mut self, active: &mut Active, follower: &Follower) {
        self.list_missing(follower);
        // Not before that was due anyway: so shortly after a take-over the feed may still announce.
        let now = self.now();
        let due = active.reconcile_at.map_or(now, |due| due.max(now));
        active.reconcile_at = (self.catalogue == Catalogue::Whole).then_some(due);
    }

    /// Whether the feed has announced all it has.
    pub(super) fn is_settled(&self, now: Duration) -> bool {
        self.up_since.is_some_and(|since| now.saturating_sub(since) >= SETTLED)
    }

    /// Delists what is in the log and not with the feed: it was deleted while nobody looked.
    pub(super) fn reconcile(&mut self, follower: &Follower) {
        let now = self.now();
        let mine = listed(&self.engine.aggregator);
        let mut gone: Vec<Box<str>> = listed(follower.aggregator()).into_keys().collect();
        gone.retain(|id| !mine.contains_key(id));
        gone.sort();
        for id in &gone {
            self.outbox.with_back(now, |piece| piece.push(Write::Delist { id }));
        }
        if !gone.is_empty() {
            tracing::info!(gone = gone.len(), "delisted what the feed does not list");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_far_ahead_by_more_than_a_minute() {
        let at = |second| Timestamp::from_seconds(second).unwrap();
        let far = |told| far_ahead(at(told), at(1000));
        assert_eq!([far(0), far(1000), far(1060), far(1061), far(4600)], [None, None, None, Some(61), Some(3600)]);
    }
}
