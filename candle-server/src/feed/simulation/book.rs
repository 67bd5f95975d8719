//! The candles as they must be: the obvious program over the quotes that the active feed delivered.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Millis;
use super::tape::{EPOCH, Made};
use crate::feed::partner::{REPLAY_LIMIT, REPLAY_QUIET};

/// One candle.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) open: f64,
    pub(super) high: f64,
    pub(super) low: f64,
    pub(super) close: f64,
    pub(super) count: u32,
    /// The sequence numbers of the open and the close.
    ends: (u64, u64),
}

impl Bar {
    const fn of(made: Made) -> Self {
        let Made { price, seq, .. } = made;
        Self { open: price, high: price, low: price, close: price, count: 0, ends: (seq, seq) }
    }

    fn add(&mut self, made: Made) {
        if made.seq < self.ends.0 {
            (self.open, self.ends.0) = (made.price, made.seq);
        }
        if made.seq >= self.ends.1 {
            (self.close, self.ends.1) = (made.price, made.seq);
        }
        self.high = self.high.max(made.price);
        self.low = self.low.min(made.price);
        self.count += 1;
    }
}

/// How it is known which instruments a feed has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Catalogue {
    /// It is not: they are listed as they are quoted.
    None,
    /// It says so after each connect.
    Announced,
}

/// A catalogue that is being announced again.
#[derive(Debug)]
struct Replay {
    connected: Millis,
    last_add: Option<Millis>,
    announced: BTreeSet<u64>,
}

/// All candles, and what became of all quotes.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// The candles of each listed instrument, by the number of their minute.
    pub(super) bars: BTreeMap<u64, BTreeMap<u64, Bar>>,
    /// Quotes that came before their instrument was announced.
    held: Vec<Made>,
    replay: Option<Replay>,
    last_connected: Option<usize>,
    /// The newest quote taken of each instrument, now and at the last turn.
    lsns: HashMap<u64, u64>,
    at_turn: HashMap<u64, u64>,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) repeated: u64,
    /// Instruments quoted since this was last taken.
    pub(super) touched: BTreeSet<u64>,
}

impl Book {
    /// Another feed is read from now on: what was brought counts once.
    pub(super) fn turns(&mut self) {
        self.at_turn = self.lsns.clone();
    }

    pub(super) fn connects(&mut self, place: usize, now: Millis) {
        let is_again = self.last_connected.replace(place) == Some(place);
        self.replay = is_again.then(|| Replay { connected: now, last_add: None, announced: BTreeSet::new() });
    }

    /// The connection is gone, and what waits for its announcement with it.
    pub(super) fn disconnects(&mut self) {
        self.rejected += self.held.drain(..).count() as u64;
        self.replay = None;
    }

    pub(super) fn announces(&mut self, id: u64, now: Millis) {
        self.bars.entry(id).or_default();
        if let Some(replay) = &mut self.replay {
            replay.last_add = Some(now);
            replay.announced.insert(id);
        }
        let held = std::mem::take(&mut self.held);
        let (released, held) = held.into_iter().partition(|made| made.id == id);
        self.held = held;
        Vec::into_iter(released).for_each(|made| self.accepts(made));
    }

    pub(super) fn brings(&mut self, made: Made, catalogue: Catalogue) {
        if self.at_turn.get(&made.id).is_some_and(|newest| made.seq <= *newest) {
            self.repeated += 1;
        } else if catalogue == Catalogue::Announced && !self.bars.contains_key(&made.id) {
            self.note(made);
            self.held.push(made);
        } else {
            self.note(made);
            self.accepts(made);
        }
    }

    fn note(&mut self, made: Made) {
        let lsn = self.lsns.entry(made.id).or_default();
        *lsn = made.seq.max(*lsn);
    }

    fn accepts(&mut self, made: Made) {
        self.accepted += 1;
        self.touched.insert(made.id);
        let bars = self.bars.entry(made.id).or_default();
        bars.entry(made.time() / 60_000).or_insert_with(|| Bar::of(made)).add(made);
    }

    /// Delists what a restarted feed did not announce again, once that is due.
    pub(super) fn pass(&mut self, now: Millis) {
        let end = |replay: &Replay| {
            let quiet = replay.last_add? + u64::try_from(REPLAY_QUIET.as_millis()).unwrap();
            Some(quiet.min(replay.connected + u64::try_from(REPLAY_LIMIT.as_millis()).unwrap()))
        };
        let is_over = self.replay.as_ref().and_then(end).is_some_and(|end| end <= now);
        if let Some(replay) = self.replay.take_if(|_| is_over) {
            self.bars.retain(|id, _| replay.announced.contains(id));
            self.lsns.retain(|id, _| replay.announced.contains(id));
            self.at_turn.retain(|id, _| replay.announced.contains(id));
            self.touched.retain(|id| replay.announced.contains(id));
        }
        // What has left the window is nobody's concern.
        let oldest = ((EPOCH + now) / 60_000).saturating_sub(40);
        if now.is_multiple_of(60_000) {
            self.bars.values_mut().for_each(|bars| bars.retain(|minute, _| *minute > oldest));
        }
    }
}
