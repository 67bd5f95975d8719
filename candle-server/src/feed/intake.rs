//! From quotes to candles: the one place that gives a quote its time and number, and hands it to the core.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::{Outcome, Outcomes, RecordContext, Tick, Timestamp, Unlisted};

use super::grumble::Grumble;
use super::high_water::HighWater;
use crate::clock::ClockMode;
use crate::engine::Engine;
use crate::message::{Message, Quote, Unreadable, decode};

/// A connection that starts more than this much earlier than its feed's clock stood starts candles afresh.
const RESTART_MICROS: i64 = 5_000_000;

/// Whether a connection that starts at `time` starts over a feed whose clock stands at `clock`.
pub(crate) const fn starts_over(clock: Timestamp, time: Timestamp) -> bool {
    time.as_micros() < clock.as_micros().saturating_sub(RESTART_MICROS)
}

/// How many ticks of a connection are judged before it is asked whether most are refused for their time.
const ENOUGH_TO_TELL: u64 = 1000;

/// A feed's way into the engine, owned by the one task that reads the feed.
///
/// Ticks without a sequence number are numbered here in arrival order. On a feed's own clock, `now` is the newest tick
/// time of the connection, advanced before the tick is judged.
#[derive(Debug)]
pub struct Intake {
    engine: Arc<Engine>,
    /// The number of the next tick that has none of its own.
    next_seq: u64,
    /// The newest time that a quote of the present batch which will be taken told of itself.
    freshest: Option<Timestamp>,
    /// `now` when the present run of frames came.
    came: Timestamp,
    connection: Connection,
    /// What was brought already, where feeds take turns.
    seen: Option<HighWater>,
    grumble: Grumble,
}

/// What is remembered of one connection.
#[derive(Debug, Default)]
struct Connection {
    /// The newest time that a quote brought, recorded or not; the first one may set a feed's clock back.
    newest: Option<Timestamp>,
    outcomes: Outcomes,
    has_warned: bool,
}

impl Intake {
    /// A way into `engine`.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            next_seq: engine.first_seq(),
            came: engine.clock.now(),
            engine,
            freshest: None,
            connection: Connection::default(),
            seen: None,
            grumble: Grumble::default(),
        }
    }

    /// The same for feeds that take turns: quotes with a sequence number count once, whichever feed brings them.
    #[must_use]
    pub fn for_turns(self) -> Self {
        Self { seen: Some(HighWater::default()), ..self }
    }

    /// Notes that what comes next is of another feed.
    pub fn turned(&mut self) {
        let now = self.engine.clock.elapsed();
        if let Some(seen) = &mut self.seen {
            seen.turned(now);
        }
    }

    /// Whether a quote is new, and not one that the feed before brought; those are counted.
    pub fn is_new(&mut self, quote: &Quote<'_>) -> bool {
        let (Some(seen), Some(seq)) = (&self.seen, quote.seq) else { return true };
        if !seen.is_new(&quote.id, seq, quote.time, self.engine.clock.elapsed()) {
            self.engine.feeds.count_repeated();
            return false;
        }
        if self.will_take(quote)
            && let Some(seen) = &mut self.seen
        {
            seen.note(&quote.id, seq, quote.time);
        }
        true
    }

    /// Notes that a run of frames has come.
    pub fn came(&mut self) {
        self.came = self.engine.clock.now();
    }

    /// Whether a quote is such as the core takes of a listed instrument.
    fn will_take(&self, quote: &Quote<'_>) -> bool {
        let time = quote.time.unwrap_or(self.came);
        let now = match self.engine.clock.mode() {
            ClockMode::Wall => self.came,
            // It goes along with its quotes.
            ClockMode::Feed => self.came.max(time),
        };
        let tick = Tick::new(time, quote.price).with_size(quote.size);
        self.engine.aggregator.config().rules().at(now).refusal(&tick).is_none()
    }

    /// The engine it leads to.
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Notes that what comes next is of a new connection.
    pub fn connected(&mut self) {
        self.connection = Connection::default();
    }

    /// Counts a message that could not be read, and says so in the log at a bounded rate.
    pub fn unreadable(&mut self, reason: Unreadable, message: &[u8]) {
        self.engine.count_unreadable(1);
        self.grumble.unreadable(self.engine.clock.elapsed(), reason, message);
    }

    /// Takes a run of frames of a feed without a catalogue, in order; one that holds no text comes as the reason why, with
    /// what there is of it. An instrument is listed at its first acceptable quote; `ADD` and `DELETE` are heeded where one
    /// comes.
    pub fn frames<'f>(&mut self, frames: impl Iterator<Item = Result<&'f [u8], (Unreadable, &'f [u8])>>) {
        self.came();
        let mut quotes: Vec<Quote<'f>> = Vec::new();
        for frame in frames {
            let frame = match frame {
                Ok(frame) => frame,
                Err((reason, start)) => {
                    self.unreadable(reason, start);
                    continue;
                }
            };
            decode(frame, |message| match message {
                Ok(Message::Quote(quote)) => {
                    if self.is_new(&quote) {
                        quotes.push(quote);
                    }
                }
                Ok(Message::Add { id, description }) => {
                    self.quotes(quotes.drain(..), Unlisted::List);
                    self.list(&id, description.as_deref());
                }
                Ok(Message::Delete { id }) => {
                    self.quotes(quotes.drain(..), Unlisted::List);
                    self.delist(&id);
                }
                Err(reason) => self.unreadable(reason, frame),
            });
        }
        self.quotes(quotes.drain(..), Unlisted::List);
    }

    /// Delists an instrument; whether it was listed.
    pub fn delist(&mut self, id: &str) -> bool {
        if let Some(seen) = &mut self.seen {
            seen.forget(id);
        }
        self.engine.delist(id)
    }

    /// Lists an instrument; whether it is listed now.
    pub fn list(&mut self, id: &str, description: Option<&str>) -> bool {
        match self.engine.list(id, description) {
            Ok(_) => true,
            Err(error) => {
                self.grumble.unlisted(self.engine.clock.elapsed(), &error);
                false
            }
        }
    }

    /// Whether `quote` sets a feed's clock back to where its connection starts: what came before it must be recorded
    /// before its [`tick`](Self::tick) is made.
    pub fn starts_over(&self, quote: &Quote<'_>) -> bool {
        let clock = &self.engine.clock;
        let may = self.connection.newest.is_none() && clock.mode() == ClockMode::Feed;
        may && quote.time.is_some_and(|time| starts_over(clock.now(), time))
    }

    /// The tick of a quote that arrives now: stamped and numbered where the feed did not.
    pub fn tick(&mut self, quote: &Quote<'_>) -> Tick {
        let time = match quote.time {
            Some(time) => self.meet(quote, time),
            None => self.stamp(),
        };
        let tick = Tick { time, seq: 0, price: quote.price, size: quote.size };
        match quote.seq {
            Some(seq) => tick.with_seq(seq),
            None => self.number(tick),
        }
    }

    /// Notes the time that a quote brought.
    fn meet(&mut self, quote: &Quote<'_>, time: Timestamp) -> Timestamp {
        if self.starts_over(quote) {
            self.engine.clear_candles();
            self.engine.clock.restart_at(time);
            self.engine.feeds.clear_coverage();
        }
        if self.freshest.is_none_or(|freshest| freshest < time) && self.will_take(quote) {
            self.freshest = Some(time);
        }
        self.connection.newest = self.connection.newest.max(Some(time));
        time
    }

    /// The time of a quote that brought none. On a feed's clock the quotes before it count, recorded or not.
    fn stamp(&mut self) -> Timestamp {
        let now = self.engine.clock.now();
        if self.engine.clock.mode() == ClockMode::Wall {
            return now;
        }
        if self.connection.newest.is_none() && !self.connection.has_warned {
            self.connection.has_warned = true;
            tracing::warn!(
                "quotes without a timestamp don't move the feed's own clock: --clock wall stamps on arrival"
            );
        }
        self.connection.newest.map_or(now, |newest| now.max(newest))
    }

    /// The same tick with the next number of arrival.
    pub const fn number(&mut self, tick: Tick) -> Tick {
        let seq = self.next_seq;
        self.next_seq = self.next_seq.wrapping_add(1);
        tick.with_seq(seq)
    }

    /// Records quotes in their order.
    pub fn quotes<'q>(&mut self, quotes: impl Iterator<Item = Quote<'q>>, unlisted: Unlisted) {
        let mut stamped: Vec<(Cow<'q, str>, Tick)> = Vec::with_capacity(quotes.size_hint().0);
        for quote in quotes {
            if self.starts_over(&quote) {
                self.record_stamped(&stamped, unlisted);
                stamped.clear();
            }
            let tick = self.tick(&quote);
            stamped.push((quote.id, tick));
        }
        self.record_stamped(&stamped, unlisted);
    }

    fn record_stamped(&mut self, stamped: &[(Cow<'_, str>, Tick)], unlisted: Unlisted) {
        let batch: Vec<(&str, Tick)> = stamped.iter().map(|(id, tick)| (id.as_ref(), *tick)).collect();
        self.record(&batch, unlisted);
    }

    /// Records ticks in their order, each under the `now` of its moment.
    pub fn record(&mut self, mut batch: &[(&str, Tick)], unlisted: Unlisted) {
        while !batch.is_empty() {
            let (now, together) = self.now_for(batch);
            let (head, rest) = batch.split_at(together);
            let context = RecordContext { arrival: self.engine.clock.arrival(), unlisted, ..RecordContext::from(now) };
            let outcomes = self.engine.record_batch(head, context);
            self.connection.outcomes.merge(&outcomes);
            self.tell(outcomes.accepted());
            batch = rest;
        }
        self.warn_of_wrong_clock();
    }

    /// Tells the watch over the feeds that quotes were accepted. On a feed's own clock none of them is late.
    fn tell(&mut self, accepted: u64) {
        let Engine { feeds, clock, .. } = &*self.engine;
        let freshest = self.freshest.take().filter(|_| clock.mode() == ClockMode::Wall);
        feeds.quoted(accepted, freshest, clock.reading());
    }

    /// The `now` for the first ticks of a batch, and for how many of them it is right: candles can tell apart only the
    /// minutes of `now`, so on a feed's clock a batch is cut where its minute turns.
    fn now_for(&self, batch: &[(&str, Tick)]) -> (Timestamp, usize) {
        let clock = &self.engine.clock;
        if clock.mode() == ClockMode::Wall {
            return (clock.now(), batch.len());
        }
        let mut now = clock.now().max(batch[0].1.time);
        let minute = now.minute();
        let mut together = 1;
        for (_, tick) in &batch[1..] {
            let next = now.max(tick.time);
            if next.minute() != minute {
                break;
            }
            now = next;
            together += 1;
        }
        clock.advance_to(now);
        (now, together)
    }

    /// Says once for each connection which flag would help, where most of its ticks are refused for their time.
    fn warn_of_wrong_clock(&mut self) {
        let outcomes = &self.connection.outcomes;
        let received = outcomes.received();
        if self.connection.has_warned || received < ENOUGH_TO_TELL {
            return;
        }
        let refused = outcomes.of(Outcome::TooFarAhead) + outcomes.of(Outcome::TooOld);
        if 2 * refused > received {
            self.connection.has_warned = true;
            let flag = match self.engine.clock.mode() {
                ClockMode::Wall => "--clock feed",
                ClockMode::Feed => "--clock wall",
            };
            tracing::warn!(refused, received, "most quotes are too far ahead or too old for this clock: try {flag}");
        }
    }
}

#[cfg(test)]
mod tests;
