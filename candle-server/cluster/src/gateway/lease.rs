//! The session of a gateway at the log, and the state of its lease there.

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

/// A session at the log, from a bootstrap until the gateway is out of sync.
pub(super) struct LogSession<B> {
    pub(super) broker: B,
    /// The time at which the stream of the log was created, in nanoseconds since the epoch.
    pub(super) created: i128,
    pub(super) follower: Follower,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) continuity: Continuity,
    /// The start of the session.
    started: Duration,
    /// The sequence at which the log ended when it was first read. The lease is unknown until that message is applied.
    pub(super) end: Option<u64>,
    /// The time of the last message of a gateway.
    last_message: Duration,
    /// The time since which the leader reports that its feed is down.
    leader_feed_down_since: Option<Duration>,
    /// The sequence of the message that superseded one of this gateway.
    superseded_by: Option<u64>,
    /// The number of bytes of the log that this session has read.
    pub(super) log_bytes: u64,
    pub(super) lease: Lease,
}

/// The state of the lease from the view of this gateway.
pub(super) enum Lease {
    /// Another gateway is the leader.
    Standby,
    /// This gateway claims the lease.
    Claiming(Box<Claim>),
    /// This gateway is the leader.
    Leading(Box<Leadership>),
}

/// A message that is being published, with an unknown result so far.
pub(super) struct InFlight {
    pub(super) task: JoinHandle<Delivery>,
    pub(super) header: WritesHeader,
    /// The time at which its writes were taken from the journal.
    pub(super) started: Duration,
    /// True if it contains the first chunk of the outbox.
    pub(super) has_chunk: bool,
}

/// A claim under way, and the last message of a gateway before it.
pub(super) struct Claim {
    pub(super) in_flight: InFlight,
    pub(super) before: Option<WritesHeader>,
}

/// The state of the leader.
pub(super) struct Leadership {
    /// The last stored message of this gateway.
    pub(super) last_writes: LastWrites,
    /// The sequence of the claim.
    pub(super) claimed_at: u64,
    pub(super) in_flight: Option<InFlight>,
    pub(super) coverage: CoverageRing,
    /// The time of the last message.
    pub(super) last_sent: Duration,
    pub(super) checkpoint: CheckpointWriter,
    /// The time at which instruments are delisted that the feed does not list.
    pub(super) reconcile_at: Option<Duration>,
}

impl Lease {
    /// Waits for the result of the message under way, or for ever if there is none.
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
    /// This gateway can't follow the log any further.
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

    /// Records that the message at `sequence` superseded one of this gateway.
    pub(super) const fn note_superseded(&mut self, sequence: u64, now: Duration) {
        self.superseded_by = Some(sequence);
        self.last_message = now;
    }

    /// Returns true if no gateway is the leader.
    pub(super) fn lease_is_free(&self, now: Duration) -> bool {
        let is_released = self.follower.last_writes().is_none_or(|last| {
            // No leader can write after a message that no gateway wrote.
            last.header.lease == LeaseAction::Release || self.expected_sequence() > last.sequence
        });
        self.is_caught_up() && (is_released || now.saturating_sub(self.last_message) >= LEASE_TIMEOUT)
    }

    /// Returns true if every message is applied that was stored when the log was first read.
    fn is_caught_up(&self) -> bool {
        self.end.is_some_and(|end| self.follower.applied() >= end)
    }

    /// Returns true if the leader reports that its feed is down. A claim reports nothing about the feed.
    pub(super) fn leader_feed_is_down(&self) -> bool {
        let is_down = |header: &WritesHeader| header.lease == LeaseAction::Renew && header.feed_is_down;
        self.follower.last_writes().is_some_and(|last| is_down(&last.header))
    }

    /// Returns true if the feed of the leader has been down for long enough that another gateway may take the lease.
    pub(super) fn leader_feed_stays_down(&self, now: Duration) -> bool {
        let is_long = |since: Duration| now.saturating_sub(since) >= FEED_DOWN_TIMEOUT;
        self.is_caught_up() && self.leader_feed_down_since.is_some_and(is_long)
    }

    /// The sequence of the message that a claim must follow.
    pub(super) fn expected_sequence(&self) -> u64 {
        let last = self.follower.last_writes().map_or(0, |last| last.sequence);
        // Once the superseding message is applied its writer is known. If no gateway wrote it, it is the last message
        // of the subject all the same, and a claim must follow it.
        let applied = self.superseded_by.filter(|sequence| self.follower.applied() >= *sequence);
        applied.map_or(last, |sequence| sequence.max(last))
    }

    /// Returns true if this session started with a gap and a checkpoint contains the missing messages by now, because
    /// another gateway has reset the log.
    pub(super) fn can_restart(&self, now: Duration) -> bool {
        let has_gap = self.continuity == Continuity::Gap && matches!(self.lease, Lease::Standby);
        has_gap && now.saturating_sub(self.started) >= 2 * ROUND
    }
}
