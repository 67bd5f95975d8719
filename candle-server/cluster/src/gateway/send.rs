//! Builds and publishes the messages of a gateway: claims, chunks of the outbox, heartbeats and releases.

use bytes::Bytes;
use candle_core::{CoverageRing, Timestamp};
use candle_engine::clock::ClockMode;
use candle_engine::codec;
use candle_engine::journal::Batch;

use super::lease::{InFlight, Leadership, LogSession};
use super::timing::HEARTBEAT;
use super::{Gateway, coverage};
use crate::bootstrap::Continuity;
use crate::broker::Broker;
use crate::message::{self, Content, FIRST_ARRIVAL_SEQ, LeaseAction, Origin, WritesHeader};
use crate::outbox::number_arrivals;
use crate::publish::{Publication, deliver};

/// The smallest difference between the times of two messages on a wall clock, in microseconds.
///
/// Each message has a different time, so that responses with equal times are equal. Nodes apply a long message in
/// parts, and each part needs a different time (1 µs).
const MIN_STEP_MICROS: i64 = 64;

impl<B: Broker> Gateway<B> {
    /// Publishes a claim of the next epoch. `expected` is the sequence of the last message.
    pub(super) fn claim(&mut self, session: &LogSession<B>, expected: u64) -> InFlight {
        let last = session.follower.last_writes().map(|last| &last.header);
        // The writes in the outbox are published after the claim, so the time of the claim must not be later.
        let clock = self.engine.clock.now();
        let reached = self.outbox.first().and_then(Batch::now).map_or(clock, |oldest| oldest.min(clock));
        let no_coverage = || CoverageRing::default().to_parts(Timestamp::EPOCH);
        let header = WritesHeader {
            epoch: last.map_or(1, |last| last.epoch + 1),
            lease: if session.continuity == Continuity::Gap { LeaseAction::Reset } else { LeaseAction::Claim },
            clock: self.engine.clock.mode(),
            now: self.at_or_after(reached, last).as_micros(),
            next_arrival_seq: last.map_or(FIRST_ARRIVAL_SEQ, |last| last.next_arrival_seq),
            feed_is_down: true,
            coverage: last.map_or_else(no_coverage, |last| last.coverage),
            origin: self.next_origin(),
        };
        self.publish(&session.broker, header, expected, None)
    }

    fn next_origin(&mut self) -> Origin {
        let batch = self.next_batch;
        self.next_batch += 1;
        Origin { node: self.config.node, batch }
    }

    /// Returns `now`, or the time of the previous message plus [`MIN_STEP_MICROS`] if that time is later.
    ///
    /// With [`ClockMode::Feed`], returns `now` unchanged.
    fn at_or_after(&self, now: Timestamp, before: Option<&WritesHeader>) -> Timestamp {
        let before = before.and_then(WritesHeader::now).filter(|_| self.engine.clock.mode() == ClockMode::Wall);
        before.map_or(now, |before| now.max(before.saturating_add(MIN_STEP_MICROS)))
    }

    /// Starts a task that publishes a message, and returns the message in flight.
    fn publish(&self, broker: &B, header: WritesHeader, expected: u64, chunk: Option<Batch>) -> InFlight {
        let has_chunk = chunk.is_some();
        let batch = chunk.unwrap_or_else(|| Batch::new(0));
        let encoded = codec::encode(&batch, &[], self.engine.aggregator.config().rules());
        let payload = Bytes::from(message::encode(Content::Writes(header.clone()), &encoded));
        let publication = Publication { origin: header.origin, expected, payload };
        let task = tokio::spawn(deliver(broker.clone(), publication));
        InFlight { task, header, started: self.now(), has_chunk }
    }

    /// Publishes the first chunk of the outbox, or a heartbeat if one is due. Does nothing while a message is in
    /// flight.
    pub(super) fn send(&mut self, broker: &B, leadership: &mut Leadership) {
        let now = self.now();
        let is_due = !self.outbox.is_empty() || now.saturating_sub(leadership.last_sent) >= HEARTBEAT;
        if leadership.in_flight.is_some() || !is_due {
            return;
        }
        let in_flight = self.publish_next(broker, leadership, LeaseAction::Renew);
        leadership.last_sent = now;
        leadership.in_flight = Some(in_flight);
    }

    /// Publishes the next message of the leader, with the first chunk of the outbox if there is one.
    pub(super) fn publish_next(&mut self, broker: &B, leadership: &mut Leadership, action: LeaseAction) -> InFlight {
        let before = leadership.last_writes.header.clone();
        let mut next_arrival_seq = before.next_arrival_seq;
        let chunk = self.outbox.seal_first().map(|chunk| number_arrivals(chunk, &mut next_arrival_seq));
        let clock = self.engine.clock.now();
        // If further chunks follow, the time of the message is the time of this chunk.
        let reached = match &chunk {
            Some(chunk) if self.outbox.chunks() > 1 => chunk.now().unwrap_or(clock),
            _ => clock,
        };
        let now = self.at_or_after(reached, Some(&before));
        let feeds = &self.engine.feeds;
        let feed = feeds.coverage_ring();
        if chunk.as_ref().is_some_and(Batch::clears) {
            // The batch clears all candles, so quotes that were lost earlier no longer matter.
            (leadership.coverage, self.complete_since) = (feed, None);
        } else {
            let last_time = before.now().unwrap_or(now);
            coverage::advance(&mut leadership.coverage, last_time, now, &feed, self.complete_since);
        }
        let header = WritesHeader {
            epoch: before.epoch,
            lease: action,
            clock: before.clock,
            now: now.as_micros(),
            next_arrival_seq,
            feed_is_down: !feeds.is_delivering(),
            coverage: leadership.coverage.to_parts(now),
            origin: self.next_origin(),
        };
        self.publish(broker, header, leadership.last_writes.sequence, chunk)
    }
}
