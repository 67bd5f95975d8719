//! What a gateway knows of the log.

use std::time::Duration;

use super::{Link, PATIENCE, Role};
use crate::nats::begin::{Begun, Found};
use crate::nats::checkpoint::ROUND;
use crate::nats::follower::{Halt, Lost};
use crate::nats::message::Stage;
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
                }
            }
            Some(Event::End(end)) => self.end = self.end.or(Some(end)),
            Some(Event::Gone(why)) => return Err(Halt::Lost(Lost::Gone(why))),
            None => return Err(Halt::Lost(Lost::Gone("the log can't be read any more".to_owned()))),
        }
        Ok(())
    }

    /// Whether nobody writes the log.
    pub(super) fn is_orphaned(&self, now: Duration) -> bool {
        let is_known = self.end.is_some_and(|end| self.follower.position() >= end);
        let is_over = self.follower.last().is_none_or(|last| last.writes.stage == Stage::Closing);
        is_known && (is_over || now.saturating_sub(self.heard) >= PATIENCE)
    }

    /// Whether what this one lacks of a torn log is in a checkpoint by now: another gateway has written all of it anew.
    pub(super) fn is_outdone(&self, now: Duration) -> bool {
        let is_torn = self.checkpoint == Found::Torn && matches!(self.role, Role::Standby);
        is_torn && now.saturating_sub(self.begun) >= 2 * ROUND
    }
}
