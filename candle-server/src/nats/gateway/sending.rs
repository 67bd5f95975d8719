//! What a gateway sends: openings, pieces of what it holds, heartbeats.

use bytes::Bytes;
use candle_core::{CoverageRing, Timestamp};

use super::{Active, Flight, Gateway, HEARTBEAT, Link, supply};
use crate::clock::ClockMode;
use crate::codec;
use crate::journal::Batch;
use crate::nats::begin::Found;
use crate::nats::delivery::{Message, deliver};
use crate::nats::log::Log;
use crate::nats::message::{self, ARRIVAL_NUMBERS, Body, Origin, Stage, SupplyOf, Writes};
use crate::nats::outbox;

/// By how much, in microseconds, a message's time is later than the one's before, at least, on a wall clock: equal times
/// must mean equal places in the log, and a message of many quotes is folded in parts, a microsecond each.
const LEAST_STEP_MICROS: i64 = 64;

impl Gateway {
    /// The opening of the next epoch, under way to stand behind the message at `expected`.
    pub(super) fn open(&mut self, link: &Link, expected: u64) -> Flight {
        let last = link.follower.last();
        // What is held comes after this: it has not been told yet.
        let clock = self.engine.clock.now();
        let reached = self.outbox.front().and_then(Batch::now).map_or(clock, |oldest| oldest.min(clock));
        let header = Writes {
            epoch: last.map_or(1, |last| last.writes.epoch + 1),
            stage: if link.checkpoint == Found::Torn { Stage::Anew } else { Stage::Opening },
            clock: self.engine.clock.mode().into(),
            now: self.later_of(reached, last.map(|last| &last.writes)).as_micros(),
            next_number: last.map_or(ARRIVAL_NUMBERS, |last| last.writes.next_number),
            supply: SupplyOf::Down,
            coverage: last
                .map_or_else(|| CoverageRing::default().to_parts(Timestamp::EPOCH), |last| last.writes.coverage),
            origin: self.origin(),
        };
        self.fly(&link.log, header, expected, None)
    }

    fn origin(&mut self) -> Origin {
        let batch = self.next_batch;
        self.next_batch += 1;
        Origin { node: self.way.node, batch }
    }

    /// `now`, or a little after what the log has said before if that is later. Not so on a feed's own clock, which says
    /// what the feed says.
    fn later_of(&self, now: Timestamp, before: Option<&Writes>) -> Timestamp {
        let before = before.and_then(Writes::now).filter(|_| self.engine.clock.mode() == ClockMode::Wall);
        before.map_or(now, |before| now.max(before.saturating_add(LEAST_STEP_MICROS)))
    }

    /// A message with the outbox's first piece, if there is one, under way.
    fn fly(&self, log: &Log, header: Writes, expected: u64, piece: Option<Batch>) -> Flight {
        let is_piece = piece.is_some();
        let batch = piece.unwrap_or_else(|| Batch::new(0));
        let blob = codec::encode(&batch, &[], self.engine.aggregator.config().rules());
        let bytes = Bytes::from(message::encode(Body::Writes(header.clone()), &blob));
        let message = Message { origin: header.origin, expected, bytes };
        Flight { task: tokio::spawn(deliver(log.clone(), message)), header, cut: self.now(), is_piece }
    }

    /// Sends the outbox's first piece, or a heartbeat where one is due, unless something is under way.
    pub(super) fn send(&mut self, log: &Log, active: &mut Active) {
        let now = self.now();
        let is_due = !self.outbox.is_empty() || now.saturating_sub(active.sent) >= HEARTBEAT;
        if active.flight.is_some() || !is_due {
            return;
        }
        let flight = self.next(log, active, Stage::Going);
        active.sent = now;
        active.flight = Some(flight);
    }

    pub(super) fn next(&mut self, log: &Log, active: &mut Active, stage: Stage) -> Flight {
        let before = active.last.writes.clone();
        let mut next_number = before.next_number;
        let piece = self.outbox.seal_front().map(|piece| outbox::numbered(piece, &mut next_number));
        let clock = self.engine.clock.now();
        // Behind the rest of what is held, time is where this piece is.
        let reached = match &piece {
            Some(piece) if self.outbox.pieces() > 1 => piece.now().unwrap_or(clock),
            _ => clock,
        };
        let now = self.later_of(reached, Some(&before));
        let feeds = &self.engine.feeds;
        let feed = feeds.coverage_ring();
        if piece.as_ref().is_some_and(Batch::clears) {
            // What was lost before is forgotten with the rest.
            (active.coverage, self.whole_since) = (feed, None);
        } else {
            supply::tell(&mut active.coverage, before.now().unwrap_or(now), now, &feed, self.whole_since);
        }
        let header = Writes {
            epoch: before.epoch,
            stage,
            clock: before.clock,
            now: now.as_micros(),
            next_number,
            supply: if feeds.is_delivering() { SupplyOf::Up } else { SupplyOf::Down },
            coverage: active.coverage.to_parts(now),
            origin: self.origin(),
        };
        self.fly(log, header, active.last.sequence, piece)
    }
}
