//! What a gateway knows of the log.

use std::time::Duration;

use super::{Link, PATIENCE, Role, STARVED};
use crate::nats::begin::{Begun, Found};
use crate::nats::checkpoint::ROUND;
use crate::nats::follower::{Halt, Lost};
use crate::nats::message::{Stage, SupplyOf, Writes};
use crate::nats::tail::Event;

impl Link {
    pub(super) fn new(begun: Begun, now: Duration) -> Self {
        let Begun { log, created, follower, events, checkpoint } = begun;
        let follower = follower.for_gateway();
        Self {
            log,
            created,
            follower,
            events,
            checkpoint,
            begun: now,
            end: None,
            heard: now,
            down_since: None,
            overtaken: None,
            read: 0,
            role: Role::Standby,
        }
    }

    /// Folds what came of the log.
    ///
    /// # Errors
    /// Where this one can't go on.
    pub(super) fn folded(&mut self, event: Option<Event>, now: Duration) -> Result<(), Halt> {
        match event {
            Some(Event::Message(entry)) => {
                if self.end.is_none() {
                    self.end = Some(entry.sequence + entry.pending);
                }
                self.read += entry.payload.len() as u64;
                let folded = self.follower.fold(entry.sequence, &entry.payload)?;
                if folded.is_written {
                    self.heard = now;
                    self.down_since = self.says_down().then(|| self.down_since.unwrap_or(now));
                }
            }
            Some(Event::End(end)) => {
                self.follower.ends_at(end)?;
                self.end = self.end.or(Some(end));
            }
            Some(Event::Gone(why)) => return Err(Halt::Lost(Lost::Gone(why))),
            None => return Err(Halt::Lost(Lost::Gone("the log can't be read any more".to_owned()))),
        }
        Ok(())
    }

    /// Takes note of what was written at `sequence`, where this one's message was to stand.
    pub(super) const fn overtaken(&mut self, sequence: u64, now: Duration) {
        self.overtaken = Some(sequence);
        self.heard = now;
    }

    /// Whether nobody writes the log.
    pub(super) fn is_orphaned(&self, now: Duration) -> bool {
        let is_over = self.follower.last().is_none_or(|last| {
            // Behind what no gateway wrote there is nothing to wait for.
            last.writes.stage == Stage::Closing || self.expected() > last.sequence
        });
        self.is_known() && (is_over || now.saturating_sub(self.heard) >= PATIENCE)
    }

    /// Whether all is folded that was there when the log was read first.
    fn is_known(&self) -> bool {
        self.end.is_some_and(|end| self.follower.position() >= end)
    }

    /// Whether the gateway that writes says that its feed is down. An opening does not know yet.
    pub(super) fn says_down(&self) -> bool {
        let is_down = |writes: &Writes| writes.stage == Stage::Going && writes.supply == SupplyOf::Down;
        self.follower.last().is_some_and(|last| is_down(&last.writes))
    }

    /// Whether it has said so for long enough that another one may bring more.
    pub(super) fn is_starved(&self, now: Duration) -> bool {
        self.is_known() && self.down_since.is_some_and(|since| now.saturating_sub(since) >= STARVED)
    }

    /// The place behind which an opening has to stand.
    pub(super) fn expected(&self) -> u64 {
        let last = self.follower.last().map_or(0, |last| last.sequence);
        // Once it is folded it is known whose that was: where it is the last of no gateway, nobody can write but behind it.
        let overtaken = self.overtaken.filter(|sequence| self.follower.position() >= *sequence);
        overtaken.map_or(last, |sequence| sequence.max(last))
    }

    /// Whether what this one lacks of a torn log is in a checkpoint by now: another gateway has written all of it anew.
    pub(super) fn is_outdone(&self, now: Duration) -> bool {
        let is_torn = self.checkpoint == Found::Torn && matches!(self.role, Role::Standby);
        is_torn && now.saturating_sub(self.begun) >= 2 * ROUND
    }
}
