//! The partner's rules: two sockets without a common order, brought into one.
//!
//! A quote may come before its `ADD`, or after its `DELETE`; a connect replays the whole catalogue without an end mark;
//! a restarted partner comes back with other instruments. Time is an argument here: the time since the server's start.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{InstrumentId, Tick, Unlisted};

use super::deletions::Deletions;
use super::expiring::Waiting;
use super::intake::Intake;
use crate::engine::Engine;
use crate::message::{Message, Quote, Unreadable, decode};

/// The catalogue counts as replayed after this long without an `ADD`...
pub const REPLAY_QUIET: Duration = Duration::from_secs(1);

/// ...and at the latest this long after the connect.
pub const REPLAY_LIMIT: Duration = Duration::from_secs(10);

/// What is known of a partner besides what is listed.
#[derive(Debug)]
pub struct Partner {
    intake: Intake,
    waiting: Waiting,
    deletions: Deletions,
    replay: Option<Replay>,
}

/// A catalogue being replayed after a reconnect to the same partner.
#[derive(Debug)]
struct Replay {
    connected: Duration,
    /// When the last `ADD` came; while there is none, nothing is concluded.
    last_add: Option<Duration>,
    announced: HashSet<String>,
}

/// What a connect is to what was connected before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// The first, or the first after another feed: nothing that is listed is missed.
    Fresh,
    /// To the same partner again: what it does not announce again is gone.
    Again,
}

impl Partner {
    /// A partner that leads into the engine of `intake`.
    pub fn new(intake: Intake) -> Self {
        Self { intake, waiting: Waiting::default(), deletions: Deletions::default(), replay: None }
    }

    /// The engine it leads to.
    pub const fn engine(&self) -> &Arc<Engine> {
        self.intake.engine()
    }

    /// Gives the way into the engine back, with nothing waiting any more.
    pub fn into_intake(mut self) -> Intake {
        self.disconnected();
        self.intake
    }

    /// Notes that both sockets are connected.
    pub fn connected(&mut self, connect: Connect, now: Duration) {
        self.intake.connected();
        self.replay =
            (connect == Connect::Again).then(|| Replay { connected: now, last_add: None, announced: HashSet::new() });
    }

    /// Counts what still waits as refused: its `ADD` won't come over a connection that is gone.
    pub fn disconnected(&mut self) {
        self.replay = None;
        while let Some((id, tick)) = self.waiting.given_up() {
            self.record(&[(&id, tick)]);
        }
    }

    /// Takes a run of frames from either socket, in order; a frame that holds no text comes as the reason why, with what
    /// there is of it.
    pub fn frames<'f>(
        &mut self,
        frames: impl Iterator<Item = Result<&'f [u8], (Unreadable, &'f [u8])>>,
        now: Duration,
    ) {
        self.intake.came();
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

    /// Records quotes of listed instruments, and lets those of others wait.
    fn quotes(&mut self, quotes: &mut Vec<Quote<'_>>, now: Duration) {
        let mut ready: Vec<(&str, Tick)> = Vec::with_capacity(quotes.len());
        for quote in quotes.iter() {
            if self.intake.starts_over(quote) {
                self.record(&ready);
                ready.clear();
            }
            let tick = self.intake.tick(quote);
            let is_listed = self.intake.engine().aggregator.resolve(&quote.id).is_some();
            // An id that can't be listed waits for nothing, and may be as long as a frame.
            if is_listed || InstrumentId::new(&quote.id).is_err() || self.deletions.contains(&quote.id, now) {
                ready.push((&quote.id, tick));
            } else if let Some((id, given_up)) = self.waiting.hold(&quote.id, tick, now) {
                self.intake.record(&[(&id, given_up)], Unlisted::Reject);
            }
        }
        self.record(&ready);
        quotes.clear();
    }

    fn record(&mut self, batch: &[(&str, Tick)]) {
        self.intake.record(batch, Unlisted::Reject);
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
        self.deletions.revoke(id);
        self.release(id);
    }

    fn delete(&mut self, id: &str, now: Duration) {
        if let Some(replay) = &mut self.replay {
            replay.announced.remove(id);
        }
        self.intake.delist(id);
        if InstrumentId::new(id).is_ok() {
            self.deletions.note(id, now);
        }
        self.release(id);
    }

    /// Records what waited for `id`: accepted if it is listed now.
    fn release(&mut self, id: &str) {
        let released: Vec<(&str, Tick)> = self.waiting.release(id).map(|tick| (id, tick)).collect();
        self.record(&released);
    }

    /// When [`pass`](Self::pass) has something to do next.
    pub fn deadline(&self) -> Option<Duration> {
        let replay = self.replay.as_ref().and_then(Replay::end);
        [self.waiting.deadline(), replay].into_iter().flatten().min()
    }

    /// Does what is due at `now`: gives up on quotes, ends a replay.
    pub fn pass(&mut self, now: Duration) {
        while let Some((id, tick)) = self.waiting.expired(now) {
            self.record(&[(&id, tick)]);
        }
        let is_over = self.replay.as_ref().and_then(Replay::end).is_some_and(|end| end <= now);
        if let Some(replay) = self.replay.take_if(|_| is_over) {
            self.delist_missing(&replay.announced);
        }
    }

    /// Delists what was not announced again.
    fn delist_missing(&mut self, announced: &HashSet<String>) {
        /// How many are looked at under one lock of the catalogue.
        const PAGE: usize = 1000;
        let engine = Arc::clone(self.intake.engine());
        let aggregator = &engine.aggregator;
        let mut gone: u64 = 0;
        let mut page = aggregator.page(None, "", PAGE);
        while let Some(last) = page.last().map(|summary| summary.id.clone()) {
            for missing in page.iter().filter(|summary| !announced.contains(summary.id.as_str())) {
                gone += u64::from(self.intake.delist(missing.id.as_str()));
            }
            page = aggregator.page(Some(InstrumentId::as_str(&last)), "", PAGE);
        }
        if gone > 0 {
            tracing::info!(gone, "delisted what the feed did not announce again");
        }
    }
}

impl Replay {
    fn end(&self) -> Option<Duration> {
        let quiet = self.last_add? + REPLAY_QUIET;
        Some(quiet.min(self.connected + REPLAY_LIMIT))
    }
}

#[cfg(test)]
mod tests;
