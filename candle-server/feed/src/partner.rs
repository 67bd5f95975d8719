//! The rules of a partner feed, which sends its catalogue and its quotes over two sockets.
//!
//! The catalogue is the set of the partner's instruments. `ADD` announces an instrument, and `DELETE` removes one. The
//! messages of the two sockets have no common order, so a quote may arrive before its `ADD` or after its `DELETE`.
//!
//! After each connect, the partner sends an `ADD` for every instrument. No message marks the end of this catalogue
//! replay. After a restart, the partner may announce other instruments. All times are arguments, measured since the
//! server's start.

use std::collections::HashSet;
use std::time::Duration;

use candle_core::{Handle, InstrumentId, Tick, Unlisted};
use candle_engine::feeds::CATALOGUE_REPLAY_LIMIT;

use crate::batch::Batch;
use crate::expiring::ExpiringQueue;
use crate::intake::{FrameBytes, Intake};
use crate::message::{Message, Quote, decode};

/// The time without an `ADD` after which a catalogue replay counts as complete: 1 s.
pub const REPLAY_QUIET: Duration = Duration::from_secs(1);

/// The maximum time for which a quote waits for its `ADD`: 2 s.
const ADD_TIMEOUT: Duration = Duration::from_secs(2);

/// The time for which a deletion is stored: 1 ns longer than [`ADD_TIMEOUT`]. An entry expires exactly at its timeout,
/// and must still exist after [`ADD_TIMEOUT`].
const DELETION_MEMORY: Duration = ADD_TIMEOUT.saturating_add(Duration::from_nanos(1));

/// Applies the messages of one partner connection to the engine of an [`Intake`].
#[derive(Debug)]
pub struct Partner<'i> {
    intake: &'i mut Intake,
    /// The quotes that arrived before the `ADD` of their instrument.
    waiting: ExpiringQueue<Tick>,
    /// The recently deleted instruments. Their last quotes may still arrive, and do not wait for an `ADD`.
    deletions: ExpiringQueue<()>,
    replay: Option<Replay>,
}

/// A catalogue replay after a reconnect to the same partner.
#[derive(Debug)]
struct Replay {
    connected: Duration,
    /// The time of the last `ADD`. Without an `ADD`, no instrument is delisted.
    last_add: Option<Duration>,
    announced: HashSet<String>,
}

/// The kind of a connect: the first connect, or a reconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// The first connect, or a connect after another feed was read. No instrument is delisted.
    First,
    /// A reconnect to the same partner. Instruments that are not announced again are delisted.
    Again,
}

impl<'i> Partner<'i> {
    /// Creates the state of one partner connection. Its quotes are recorded with `intake`.
    pub fn new(intake: &'i mut Intake) -> Self {
        Self {
            intake,
            waiting: ExpiringQueue::new(ADD_TIMEOUT),
            deletions: ExpiringQueue::new(DELETION_MEMORY),
            replay: None,
        }
    }

    /// Marks the start of a connection. Both sockets are connected.
    pub fn connected(&mut self, connect: Connect, now: Duration) {
        self.intake.connected();
        self.replay =
            (connect == Connect::Again).then(|| Replay { connected: now, last_add: None, announced: HashSet::new() });
    }

    /// Marks the end of a connection. Waiting quotes are rejected, because their `ADD` cannot arrive any more.
    pub fn disconnected(&mut self) {
        self.replay = None;
        while let Some((id, tick)) = self.waiting.pop() {
            self.record(&[(&id, tick)]);
        }
    }

    /// Applies the messages of a batch of frames from either socket, in order.
    pub fn frames<'f>(&mut self, frames: impl Iterator<Item = FrameBytes<'f>>, now: Duration) {
        self.intake.begin_batch();
        let mut quotes: Vec<Quote<'f>> = Vec::new();
        for frame in frames {
            let frame = match frame {
                Ok(frame) => frame,
                Err((reason, start)) => {
                    self.intake.unreadable(reason, start);
                    continue;
                }
            };
            decode(frame, |message| match message {
                Ok(Message::Quote(quote)) => {
                    if self.intake.is_new(&quote) {
                        quotes.push(quote);
                    }
                }
                Ok(Message::Add { id, description }) => {
                    self.quotes(&mut quotes, now);
                    self.add(&id, description.as_deref(), now);
                }
                Ok(Message::Delete { id }) => {
                    self.quotes(&mut quotes, now);
                    self.delete(&id, now);
                }
                Err(reason) => self.intake.unreadable(reason, frame),
            });
        }
        self.quotes(&mut quotes, now);
    }

    /// Records the quotes of listed instruments, and queues the quotes of other instruments until their `ADD` arrives.
    fn quotes(&mut self, quotes: &mut Vec<Quote<'_>>, now: Duration) {
        let mut ids: Vec<&str> = Vec::with_capacity(quotes.len());
        let mut ticks: Vec<(Handle, Tick)> = Vec::with_capacity(quotes.len());
        for quote in quotes.iter() {
            let handle = self.intake.engine().aggregator.resolve(&quote.id);
            // Ticks are recorded in order, because each tick can advance the clock of the feed.
            if handle.is_none() || self.intake.restarts_clock(quote) {
                self.intake.record(Batch::ByHandle(&ids, &ticks));
                ids.clear();
                ticks.clear();
            }
            let tick = self.intake.tick(quote);
            if let Some(handle) = handle {
                ids.push(&quote.id);
                ticks.push((handle, tick));
            } else if !self.is_valid(&quote.id) || self.is_deleted(&quote.id, now) {
                // An invalid id can never be listed, and may be too long to store.
                self.record(&[(&quote.id, tick)]);
            } else if let Some((id, evicted)) = self.waiting.push(&quote.id, tick, now) {
                self.record(&[(&id, evicted)]);
            }
        }
        self.intake.record(Batch::ByHandle(&ids, &ticks));
        quotes.clear();
    }

    fn record(&mut self, batch: &[(&str, Tick)]) {
        self.intake.record(Batch::ById(batch, Unlisted::Reject));
    }

    /// Returns true if an instrument of this id can be listed.
    fn is_valid(&self, id: &str) -> bool {
        InstrumentId::new(id).is_ok() && self.intake.engine().aggregator.config().reserved_id() != Some(id)
    }

    /// Returns true if `id` was deleted recently.
    fn is_deleted(&mut self, id: &str, now: Duration) -> bool {
        while self.deletions.expired(now).is_some() {}
        self.deletions.contains(id)
    }

    fn add(&mut self, id: &str, description: Option<&str>, now: Duration) {
        if let Some(replay) = &mut self.replay {
            replay.last_add = Some(now);
        }
        if !self.intake.list(id, description) {
            return;
        }
        if let Some(replay) = &mut self.replay {
            replay.announced.insert(id.to_owned());
        }
        drop(self.deletions.remove(id));
        self.release(id);
    }

    fn delete(&mut self, id: &str, now: Duration) {
        if let Some(replay) = &mut self.replay {
            replay.announced.remove(id);
        }
        self.intake.delist(id);
        if self.is_valid(id) {
            self.deletions.push(id, (), now);
        }
        self.release(id);
    }

    /// Records the waiting quotes of `id`. They are accepted if the instrument is listed.
    fn release(&mut self, id: &str) {
        let released: Vec<(&str, Tick)> = self.waiting.remove(id).map(|tick| (id, tick)).collect();
        self.record(&released);
    }

    /// Returns the time at which [`expire`](Self::expire) must be called next.
    pub fn deadline(&self) -> Option<Duration> {
        let replay = self.replay.as_ref().and_then(Replay::end);
        [self.waiting.deadline(), replay].into_iter().flatten().min()
    }

    /// Rejects quotes that have waited too long. If the replay is complete, delists the instruments that were not
    /// announced.
    pub fn expire(&mut self, now: Duration) {
        while let Some((id, tick)) = self.waiting.expired(now) {
            self.record(&[(&id, tick)]);
        }
        let is_over = self.replay.as_ref().and_then(Replay::end).is_some_and(|end| end <= now);
        if let Some(replay) = self.replay.take_if(|_| is_over) {
            self.delist_missing(&replay.announced);
        }
    }

    /// Delists the instruments that the partner did not announce again.
    fn delist_missing(&mut self, announced: &HashSet<String>) {
        let engine = self.intake.engine().clone();
        let mut delisted: u64 = 0;
        for missing in engine.aggregator.instruments().filter(|summary| !announced.contains(summary.id.as_str())) {
            delisted += u64::from(self.intake.delist(missing.id.as_str()));
        }
        if delisted > 0 {
            tracing::info!(delisted, "delisted instruments that the feed did not announce again");
        }
    }
}

impl Replay {
    /// Returns the time at which the replay counts as complete; `None` before the first `ADD`.
    fn end(&self) -> Option<Duration> {
        let quiet = self.last_add? + REPLAY_QUIET;
        Some(quiet.min(self.connected + CATALOGUE_REPLAY_LIMIT))
    }
}

#[cfg(test)]
mod tests;
