//! The session of a gateway with the log, and the state of the lease.

use std::time::Duration;

use candle_core::CoverageRing;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::timing::{FEED_DOWN_TIMEOUT, LEASE_TIMEOUT};
use crate::bootstrap::{Bootstrapped, Continuity};
use crate::checkpoint::writer::{CheckpointWriter, ROUND};
use crate::follower::{FollowError, Follower, LastWrites, OutOfSync};
use crate::message::{LeaseAction, WritesHeader};
use crate::publish::Delivery;
use crate::subscribe::Event;

/// A session with the log. A session lasts from the bootstrap until the gateway is out of sync or stops.
pub(super) struct LogSession<B> {
    pub(super) broker: B,
    /// The time at which the stream of the log was created, in nanoseconds since the epoch.
    pub(super) created: i128,
    pub(super) follower: Follower,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) continuity: Continuity,
    /// The time at which the session started, since the start of the server.
    started: Duration,
    /// The last sequence of the log when it was first read. Until that message is applied, the holder of the lease is
    /// unknown.
    pub(super) end: Option<u64>,
    /// The time at which the last message of a gateway was applied.
    last_message: Duration,
    /// The time since which the leader has reported that its feed is down. `None` if its feed is up.
    leader_feed_down_since: Option<Duration>,
    /// The sequence of the message that was stored in place of a message of this gateway.
    superseded_by: Option<u64>,
    /// The number of bytes of the log that this session has read.
    pub(super) log_bytes: u64,
    pub(super) lease: Lease,
}

/// The state of the lease, as far as this gateway knows.
pub(super) enum Lease {
    /// Another gateway is the leader.
    Standby,
    /// A claim of this gateway is in flight.
    Claiming(Box<Claim>),
    /// This gateway is the leader.
    Leading(Box<Leadership>),
}

/// A message in flight: it is being published, and its result is not known yet.
pub(super) struct InFlight {
    pub(super) task: JoinHandle<Delivery>,
    pub(super) header: WritesHeader,
    /// The time at which the gateway began to publish the message.
    pub(super) started: Duration,
    /// True if the message contains the first chunk of the outbox.
    pub(super) has_chunk: bool,
}

/// A claim in flight, and the last message of a gateway before the claim.
pub(super) struct Claim {
    pub(super) in_flight: InFlight,
    pub(super) before: Option<WritesHeader>,
}

/// The state of this gateway while it is the leader.
pub(super) struct Leadership {
    /// The last message of this gateway that the broker stored.
    pub(super) last_writes: LastWrites,
    /// The sequence of the claim with which this gateway became the leader.
    pub(super) claimed_at: u64,
    pub(super) in_flight: Option<InFlight>,
    pub(super) coverage: CoverageRing,
    /// The time at which this gateway last sent a message.
    pub(super) last_sent: Duration,
    pub(super) checkpoint: CheckpointWriter,
    /// The time at which the leader delists instruments that the feed does not list. `None` if no such time is
    /// scheduled.
    pub(super) reconcile_at: Option<Duration>,
}

impl Lease {
    /// Waits for the result of the message in flight. Waits forever if no message is in flight.
    pub(super) async fn delivery(&mut self) -> Delivery {
        let in_flight = match self {
            Self::Claiming(claim) => Some(&mut claim.in_flight),
            Self::Leading(leadership) => leadership.in_flight.as_mut(),
            Self::Standby => None,
        };
        let Some(in_flight) = in_flight else { return std::future::pending().await };
        (&mut in_flight.task).await.expect("the task does not panic, and only the drop of this message aborts it")
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<B> LogSession<B> {
    pub(super) fn new(bootstrapped: Bootstrapped<B>, now: Duration) -> Self {
        let Bootstrapped { broker, created, follower, events, continuity } = bootstrapped;
        Self {
            broker,
            created,
            follower: follower.for_gateway(),
            events,
            continuity,
            started: now,
            end: None,
            last_message: now,
            leader_feed_down_since: None,
            superseded_by: None,
            log_bytes: 0,
            lease: Lease::Standby,
        }
    }

    /// Applies an event of the log.
    ///
    /// # Errors
    /// [`FollowError`] if this gateway can't follow the log any further.
    pub(super) fn apply(&mut self, event: Option<Event>, now: Duration) -> Result<(), FollowError> {
        match event {
            Some(Event::Message(message)) => {
                if self.end.is_none() {
                    self.end = Some(message.sequence + message.pending);
                }
                self.log_bytes += message.payload.len() as u64;
                let applied = self.follower.apply(message.sequence, &message.payload)?;
                if applied.is_from_gateway {
                    self.last_message = now;
                    let down_since = self.leader_feed_down_since.unwrap_or(now);
                    self.leader_feed_down_since = self.leader_feed_is_down().then_some(down_since);
                }
            }
            Some(Event::End(end)) => {
                self.follower.check_end(end)?;
                self.end = self.end.or(Some(end));
            }
            Some(Event::Gone(reason)) => return Err(FollowError::OutOfSync(OutOfSync::StreamGone(reason))),
            None => return Err(FollowError::OutOfSync(OutOfSync::subscription_ended())),
        }
        Ok(())
    }

    /// Records that the message at `sequence` was stored in place of a message of this gateway.
    pub(super) const fn note_superseded(&mut self, sequence: u64, now: Duration) {
        self.superseded_by = Some(sequence);
        self.last_message = now;
    }

    /// Returns true if no other gateway is the leader, so this gateway can claim the lease.
    pub(super) fn lease_is_free(&self, now: Duration) -> bool {
        let is_released = self.follower.last_writes().is_none_or(|last| {
            // If the last message is not from a gateway, no gateway can write without a new claim.
            last.header.lease == LeaseAction::Release || self.expected_sequence() > last.sequence
        });
        self.is_caught_up() && (is_released || now.saturating_sub(self.last_message) >= LEASE_TIMEOUT)
    }

    /// Returns true if all messages are applied that the log had when it was first read.
    fn is_caught_up(&self) -> bool {
        self.end.is_some_and(|end| self.follower.applied() >= end)
    }

    /// Returns true if the leader reports that its feed is down. The state of the feed in a claim is ignored.
    pub(super) fn leader_feed_is_down(&self) -> bool {
        let is_down = |header: &WritesHeader| header.lease == LeaseAction::Renew && header.feed_is_down;
        self.follower.last_writes().is_some_and(|last| is_down(&last.header))
    }

    /// Returns true if the leader has reported for [`FEED_DOWN_TIMEOUT`] that its feed is down. Returns false until this
    /// gateway has applied the whole log.
    pub(super) fn leader_feed_stays_down(&self, now: Duration) -> bool {
        let is_long = |since: Duration| now.saturating_sub(since) >= FEED_DOWN_TIMEOUT;
        self.is_caught_up() && self.leader_feed_down_since.is_some_and(is_long)
    }

    /// Returns the sequence that a claim must expect: the last message with the subject of writes.
    pub(super) fn expected_sequence(&self) -> u64 {
        let last = self.follower.last_writes().map_or(0, |last| last.sequence);
        // The superseding message counts only after it is applied. If no gateway wrote that message, it is still the
        // last message of the subject, so a claim must expect its sequence.
        let applied = self.superseded_by.filter(|sequence| self.follower.applied() >= *sequence);
        applied.map_or(last, |sequence| sequence.max(last))
    }

    /// Returns true if this session started with a gap and has been the standby for two rounds of checkpoints.
    ///
    /// Another gateway has then reset the log, and its checkpoint closes the gap.
    pub(super) fn can_restart(&self, now: Duration) -> bool {
        let has_gap = self.continuity == Continuity::Gap && matches!(self.lease, Lease::Standby);
        has_gap && now.saturating_sub(self.started) >= 2 * ROUND
    }
}
