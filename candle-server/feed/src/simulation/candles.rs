//! The model of candles: computes the expected candles from the quotes that the active feed delivered.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use candle_engine::feeds::CATALOGUE_REPLAY_LIMIT;

use super::Millis;
use super::quotes::{START, SimulatedQuote};
use crate::partner::REPLAY_QUIET;

/// An expected candle.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ExpectedCandle {
    pub(super) open: f64,
    pub(super) high: f64,
    pub(super) low: f64,
    pub(super) close: f64,
    pub(super) count: u32,
    /// The sequence numbers of the opening and the closing quote.
    ends: (u64, u64),
}

impl ExpectedCandle {
    const fn of(quote: SimulatedQuote) -> Self {
        let SimulatedQuote { price, seq, .. } = quote;
        Self { open: price, high: price, low: price, close: price, count: 0, ends: (seq, seq) }
    }

    fn add(&mut self, quote: SimulatedQuote) {
        if quote.seq < self.ends.0 {
            (self.open, self.ends.0) = (quote.price, quote.seq);
        }
        if quote.seq >= self.ends.1 {
            (self.close, self.ends.1) = (quote.price, quote.seq);
        }
        self.high = self.high.max(quote.price);
        self.low = self.low.min(quote.price);
        self.count += 1;
    }
}

/// The way in which a feed announces its instruments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Catalogue {
    /// No announcement: instruments are listed at their first quote.
    None,
    /// An announcement after each connect.
    Announced,
}

/// A repeated announcement of all instruments, after a reconnect.
#[derive(Debug)]
struct CatalogueReplay {
    connected: Millis,
    last_add: Option<Millis>,
    announced: BTreeSet<u64>,
}

/// The expected candles and the expected counts of quotes.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// The expected candles, by instrument and minute number.
    pub(super) candles: BTreeMap<u64, BTreeMap<u64, ExpectedCandle>>,
    /// The quotes that arrived before the announcement of their instrument.
    waiting: Vec<SimulatedQuote>,
    replay: Option<CatalogueReplay>,
    last_connected: Option<usize>,
    /// The highest sequence number of each instrument. `newest_at_switch` is the value at the last switch of feeds.
    newest: HashMap<u64, u64>,
    newest_at_switch: HashMap<u64, u64>,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) repeated: u64,
    /// The instruments quoted since the last check.
    pub(super) touched: BTreeSet<u64>,
}

impl Model {
    /// Records that another feed is read. Quotes that the previous feed delivered count as repeated.
    pub(super) fn switched(&mut self) {
        self.newest_at_switch = self.newest.clone();
    }

    pub(super) fn connected(&mut self, feed: usize, now: Millis) {
        let is_again = self.last_connected.replace(feed) == Some(feed);
        self.replay = is_again.then(|| CatalogueReplay { connected: now, last_add: None, announced: BTreeSet::new() });
    }

    /// Records that the connection has ended. Waiting quotes are rejected.
    pub(super) fn disconnected(&mut self) {
        self.rejected += self.waiting.drain(..).count() as u64;
        self.replay = None;
    }

    pub(super) fn announced(&mut self, id: u64, now: Millis) {
        self.candles.entry(id).or_default();
        if let Some(replay) = &mut self.replay {
            replay.last_add = Some(now);
            replay.announced.insert(id);
        }
        let waiting = std::mem::take(&mut self.waiting);
        let (released, waiting) = waiting.into_iter().partition(|quote| quote.id == id);
        self.waiting = waiting;
        Vec::into_iter(released).for_each(|quote| self.accept(quote));
    }

    pub(super) fn delivered(&mut self, quote: SimulatedQuote, catalogue: Catalogue) {
        if self.newest_at_switch.get(&quote.id).is_some_and(|newest| quote.seq <= *newest) {
            self.repeated += 1;
        } else if catalogue == Catalogue::Announced && !self.candles.contains_key(&quote.id) {
            self.note_newest(quote);
            self.waiting.push(quote);
        } else {
            self.note_newest(quote);
            self.accept(quote);
        }
    }

    fn note_newest(&mut self, quote: SimulatedQuote) {
        let newest = self.newest.entry(quote.id).or_default();
        *newest = quote.seq.max(*newest);
    }

    fn accept(&mut self, quote: SimulatedQuote) {
        self.accepted += 1;
        self.touched.insert(quote.id);
        let candles = self.candles.entry(quote.id).or_default();
        candles.entry(quote.time() / 60_000).or_insert_with(|| ExpectedCandle::of(quote)).add(quote);
    }

    /// Delists the instruments that the feed did not announce again, if the repeated announcement is complete.
    pub(super) fn expire(&mut self, now: Millis) {
        let end = |replay: &CatalogueReplay| {
            let quiet = replay.last_add? + u64::try_from(REPLAY_QUIET.as_millis()).unwrap();
            Some(quiet.min(replay.connected + u64::try_from(CATALOGUE_REPLAY_LIMIT.as_millis()).unwrap()))
        };
        let is_over = self.replay.as_ref().and_then(end).is_some_and(|end| end <= now);
        if let Some(replay) = self.replay.take_if(|_| is_over) {
            self.candles.retain(|id, _| replay.announced.contains(id));
            self.newest.retain(|id, _| replay.announced.contains(id));
            self.newest_at_switch.retain(|id, _| replay.announced.contains(id));
            self.touched.retain(|id| replay.announced.contains(id));
        }
        // Candles that have left the window are not compared.
        let oldest = ((START + now) / 60_000).saturating_sub(40);
        if now.is_multiple_of(60_000) {
            self.candles.values_mut().for_each(|candles| candles.retain(|minute, _| *minute > oldest));
        }
    }
}
