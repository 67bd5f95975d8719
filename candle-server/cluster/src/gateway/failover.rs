//! Performs a failover: a gateway that has become the leader continues the writes of the previous leader.

use candle_core::{CoverageRing, Timestamp};
use candle_engine::clock::ClockMode;
use candle_engine::journal::Write;

use super::lease::{Claim, Leadership, LogSession};
use super::timing::BUFFER_DURATION;
use super::{Gateway, coverage};
use crate::bootstrap::Continuity;
use crate::broker::Broker;
use crate::checkpoint::writer::{CheckpointWriter, FirstRound};
use crate::follower::LastWrites;
use crate::message::WritesHeader;
use crate::outbox::{MAX_OUTBOX_BYTES, Outbox};

/// The value of [`BUFFER_DURATION`], in microseconds.
#[expect(clippy::cast_possible_truncation, reason = "half a minute")]
const BUFFER_MICROS: i64 = BUFFER_DURATION.as_micros() as i64;

/// The most by which the log may be ahead of the clock of this machine without a warning, in microseconds.
///
/// Synchronized clocks differ by far less than a minute, and a failover takes seconds.
const AHEAD_MICROS: i64 = 60_000_000;

/// Returns the seconds by which the log is ahead of `now`, if they exceed [`AHEAD_MICROS`].
const fn seconds_ahead(logged: Timestamp, now: Timestamp) -> Option<i64> {
    let ahead = logged.as_micros().saturating_sub(now.as_micros());
    if ahead > AHEAD_MICROS { Some(ahead / 1_000_000) } else { None }
}

impl<B: Broker> Gateway<B> {
    /// Makes this gateway the leader, whose claim is stored at `sequence`.
    ///
    /// Removes from the outbox all writes that the log already has.
    pub(super) fn start_leading(&mut self, session: &LogSession<B>, claim: &Claim, sequence: u64) -> Leadership {
        let now = self.now();
        let last_writes = LastWrites { sequence, header: claim.in_flight.header.clone() };
        let buffered = std::mem::replace(&mut self.outbox, Outbox::new(MAX_OUTBOX_BYTES));
        self.list_missing(&session.follower);
        let known = self.outbox.append_new(&buffered, &session.follower, self.engine.clock.now());
        // The feed may have listed and delisted these instruments again since. If the feed does not list them now, they
        // are delisted in the log again.
        for id in known.iter().filter(|id| self.engine.aggregator.resolve(id).is_none()) {
            self.outbox.with_last(now, |batch| batch.push(Write::Delist { id }));
        }
        let (buffered, new, epoch) = (buffered.bytes(), self.outbox.bytes(), last_writes.header.epoch);
        tracing::info!(log = %self.config.address, epoch, buffered, new, "lease acquired: this gateway writes the log");
        self.warn_if_log_is_ahead(claim);
        let has_checkpoint = session.continuity == Continuity::Complete;
        let first_round = if has_checkpoint { FirstRound::Spread } else { FirstRound::AtOnce };
        let checkpoint = CheckpointWriter::new(&session.broker, session.created, first_round, now, session.log_bytes);
        Leadership {
            coverage: self.initial_coverage(claim),
            last_writes,
            in_flight: None,
            last_sent: now,
            checkpoint,
            claimed_at: sequence,
            reconcile_at: self.first_reconciliation(),
        }
    }

    /// Warns if the time of the log is far ahead of the clock of this machine.
    ///
    /// The time of the log never goes back, so it stands still until the clock of this machine reaches it. This gateway
    /// cannot know which of the two clocks is wrong. If the time went back, all nodes would have to clear their
    /// candles.
    fn warn_if_log_is_ahead(&self, claim: &Claim) {
        let logged = claim.before.as_ref().and_then(WritesHeader::now);
        let is_wall = self.engine.clock.mode() == ClockMode::Wall;
        let now = self.engine.clock.now();
        if let Some(seconds) = logged.filter(|_| is_wall).and_then(|logged| seconds_ahead(logged, now)) {
            tracing::warn!(
                log = %self.config.address,
                "the time of the log is {seconds} s ahead of the clock of this machine and stands still until the clock \
                 catches up: check the clocks of both gateways"
            );
        }
    }

    /// Returns the coverage of the log, continued with the coverage of the feed after the last message.
    fn initial_coverage(&self, claim: &Claim) -> CoverageRing {
        let feed = self.engine.feeds.coverage_ring();
        let Some(before) = &claim.before else { return feed };
        let mut coverage = before.coverage().unwrap_or_default();
        let last_time = before.now().unwrap_or(Timestamp::MIN);
        // If the feed of the previous leader was down for longer than a standby buffers, older quotes are lost.
        let buffered_since = Some(last_time.saturating_add(-BUFFER_MICROS));
        let complete_since = self.complete_since.max(buffered_since);
        let now = claim.in_flight.header.now().unwrap_or(last_time);
        coverage::advance(&mut coverage, last_time, now, &feed, complete_since);
        coverage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_ahead_by_more_than_a_minute() {
        let at = |second| Timestamp::from_seconds(second).unwrap();
        let ahead = |logged| seconds_ahead(at(logged), at(1000));
        let seconds = [ahead(0), ahead(1000), ahead(1060), ahead(1061), ahead(4600)];
        assert_eq!(seconds, [None, None, None, Some(61), Some(3600)]);
    }
}
