//! The intake: turns quotes into ticks with a time and a sequence number, and records them in the engine.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::{ListError, Outcome, Outcomes, Tick, Timestamp, Unlisted};
use candle_engine::Engine;
use candle_engine::clock::{ClockMode, is_restart};
use candle_engine::throttled_log::{Incident, ThrottledLog};

use crate::batch::Batch;
use crate::dedup::Deduplicator;
use crate::message::{Message, Quote, Unreadable, decode};

/// The number of ticks of a connection after which the clock mode is checked: 1000. A few rejected ticks do not prove
/// that the mode is wrong.
const CLOCK_CHECK_TICKS: u64 = 1000;

/// The maximum number of logged bytes of an unreadable message: 80, which is enough to recognise the message.
const LOGGED_BYTES: usize = 80;

/// The text of a frame, or the reason why the frame is unreadable, with the known bytes.
pub type FrameBytes<'f> = Result<&'f [u8], (Unreadable, &'f [u8])>;

/// Records the quotes of a feed in the engine. The task that reads the feed owns the intake.
///
/// The intake numbers quotes without a sequence number in the order of their arrival. On a feed clock, the current time
/// `now` is the newest tick time of the connection. The clock advances before a tick is validated.
#[derive(Debug)]
pub struct Intake {
    engine: Arc<Engine>,
    /// The sequence number for the next quote that the feed did not number.
    next_seq: u64,
    /// The newest timestamp among the acceptable quotes of the current batch.
    freshest: Option<Timestamp>,
    /// The value of `now` when the current batch of frames arrived.
    batch_now: Timestamp,
    connection: ConnectionStats,
    /// Drops repeated quotes; set only if there is more than one feed.
    dedup: Option<Deduplicator>,
    log: ThrottledLog,
}

/// The state of one connection.
#[derive(Debug, Default)]
struct ConnectionStats {
    /// The newest timestamp of a quote, accepted or rejected. The first quote with a timestamp may set the feed clock
    /// back.
    newest: Option<Timestamp>,
    outcomes: Outcomes,
    wrong_clock: Incident,
}

impl Intake {
    /// Creates an intake that records quotes in `engine`.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            next_seq: engine.first_seq(),
            batch_now: engine.clock.now(),
            engine,
            freshest: None,
            connection: ConnectionStats::default(),
            dedup: None,
            log: ThrottledLog::default(),
        }
    }

    /// Adds deduplication: a quote with a sequence number counts once, even if several feeds deliver the quote.
    #[must_use]
    pub(crate) fn with_deduplication(self) -> Self {
        Self { dedup: Some(Deduplicator::default()), ..self }
    }

    /// Marks the switch to another feed.
    pub(crate) fn switched(&mut self) {
        let now = self.engine.clock.elapsed();
        if let Some(dedup) = &mut self.dedup {
            dedup.switched(now);
        }
    }

    /// Returns true if the previous feed did not deliver the quote. Otherwise, counts a repeated quote.
    pub(crate) fn is_new(&mut self, quote: &Quote<'_>) -> bool {
        let (Some(dedup), Some(seq)) = (&self.dedup, quote.seq) else { return true };
        if !dedup.is_new(&quote.id, seq, quote.time, self.engine.clock.elapsed()) {
            self.engine.feeds.count_repeated();
            return false;
        }
        if self.is_acceptable(quote)
            && let Some(dedup) = &mut self.dedup
        {
            dedup.record(&quote.id, seq, quote.time);
        }
        true
    }

    /// Starts a batch of frames that have just arrived.
    pub(crate) fn begin_batch(&mut self) {
        self.batch_now = self.engine.clock.now();
    }

    /// Returns true if the core would accept the quote for a listed instrument.
    fn is_acceptable(&self, quote: &Quote<'_>) -> bool {
        let time = quote.time.unwrap_or(self.batch_now);
        let now = match self.engine.clock.mode() {
            ClockMode::Wall => self.batch_now,
            // A feed clock advances with its quotes.
            ClockMode::Feed => self.batch_now.max(time),
        };
        let tick = Tick::new(time, quote.price).with_size(quote.size);
        let config = self.engine.aggregator.config();
        config.rules().at(now).refusal(&tick, config.window()).is_none()
    }

    /// Returns the engine in which the quotes are recorded.
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Marks the start of a new connection.
    pub(crate) fn connected(&mut self) {
        self.connection = ConnectionStats::default();
    }

    /// Counts an unreadable message, and logs its first bytes at a limited rate. The bytes are escaped.
    pub(crate) fn unreadable(&mut self, reason: Unreadable, message: &[u8]) {
        self.engine.count_unreadable(1);
        if let Some(suppressed) = self.log.permit(self.engine.clock.elapsed()) {
            let start = message[..message.len().min(LOGGED_BYTES)].escape_ascii();
            tracing::warn!(bytes = message.len(), suppressed, "unreadable message: {reason}: {start}");
        }
    }

    /// Applies the messages of a batch of frames in order. The feed does not announce its instruments.
    ///
    /// An instrument is listed by its first acceptable quote or by an `ADD` message.
    pub(crate) fn frames<'f>(&mut self, frames: impl Iterator<Item = FrameBytes<'f>>) {
        self.begin_batch();
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

    /// Delists an instrument and returns true if it was listed.
    pub(crate) fn delist(&mut self, id: &str) -> bool {
        if let Some(dedup) = &mut self.dedup {
            dedup.remove(id);
        }
        self.engine.delist(id)
    }

    /// Lists an instrument and returns true if it is listed now.
    pub(crate) fn list(&mut self, id: &str, description: Option<&str>) -> bool {
        let listed = self.engine.list(id, description);
        if let Err(error) = &listed {
            self.log_unlisted(error);
        }
        listed.is_ok()
    }

    fn log_unlisted(&mut self, error: &ListError) {
        if let Some(suppressed) = self.log.permit(self.engine.clock.elapsed()) {
            tracing::warn!(suppressed, "cannot list an instrument: {error}");
        }
    }

    /// Returns true if `quote` sets the feed clock back, which clears all candles.
    ///
    /// Earlier quotes must be recorded before [`tick`](Self::tick) is called with this quote.
    pub(crate) fn restarts_clock(&self, quote: &Quote<'_>) -> bool {
        let clock = &self.engine.clock;
        let may = self.connection.newest.is_none() && clock.mode() == ClockMode::Feed;
        may && quote.time.is_some_and(|time| is_restart(clock.now(), time))
    }

    /// Creates the tick of a quote that has just arrived. A missing time or sequence number is filled in.
    pub(crate) fn tick(&mut self, quote: &Quote<'_>) -> Tick {
        let time = match quote.time {
            Some(time) => self.observe_time(quote, time),
            None => self.arrival_time(),
        };
        let tick = Tick { time, seq: 0, price: quote.price, size: quote.size };
        match quote.seq {
            Some(seq) => tick.with_seq(seq),
            None => self.with_arrival_seq(tick),
        }
    }

    /// Notes the timestamp of a quote, and returns the timestamp. May set the feed clock back.
    fn observe_time(&mut self, quote: &Quote<'_>, time: Timestamp) -> Timestamp {
        if self.restarts_clock(quote) {
            self.engine.clear_candles();
            self.engine.clock.restart_at(time);
            self.engine.feeds.clear_coverage();
        }
        if self.freshest.is_none_or(|freshest| freshest < time) && self.is_acceptable(quote) {
            self.freshest = Some(time);
        }
        self.connection.newest = self.connection.newest.max(Some(time));
        time
    }

    /// Returns the time of a quote without a timestamp. On a feed clock, this is the time of the newest quote so far.
    fn arrival_time(&mut self) -> Timestamp {
        let now = self.engine.clock.now();
        if self.engine.clock.mode() == ClockMode::Wall {
            return now;
        }
        if self.connection.newest.is_none() && self.connection.wrong_clock.begin() {
            tracing::warn!(
                "quotes without a timestamp do not advance the feed clock; --clock wall stamps quotes on arrival"
            );
        }
        self.connection.newest.map_or(now, |newest| now.max(newest))
    }

    /// Assigns the next sequence number to a tick.
    pub(crate) const fn with_arrival_seq(&mut self, tick: Tick) -> Tick {
        let seq = self.next_seq;
        self.next_seq = self.next_seq.wrapping_add(1);
        tick.with_seq(seq)
    }

    /// Records quotes in order.
    fn quotes<'q>(&mut self, quotes: impl Iterator<Item = Quote<'q>>, unlisted: Unlisted) {
        let mut stamped: Vec<(Cow<'q, str>, Tick)> = Vec::with_capacity(quotes.size_hint().0);
        for quote in quotes {
            if self.restarts_clock(&quote) {
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
        self.record(Batch::ById(&batch, unlisted));
    }

    /// Records ticks in order. On a feed clock, each tick advances the clock before the tick is validated.
    pub(crate) fn record(&mut self, mut batch: Batch<'_>) {
        while batch.len() > 0 {
            let (now, count) = self.next_now(batch);
            let (head, rest) = batch.split_at(count);
            let outcomes = head.record(&self.engine, now, self.engine.clock.arrival());
            self.connection.outcomes.merge(&outcomes);
            self.report_accepted(outcomes.accepted());
            batch = rest;
        }
        self.warn_of_wrong_clock();
    }

    /// Reports accepted quotes to the feed health. On a feed clock no quote is late.
    fn report_accepted(&mut self, accepted: u64) {
        let Engine { feeds, clock, .. } = &*self.engine;
        let freshest = self.freshest.take().filter(|_| clock.mode() == ClockMode::Wall);
        feeds.quoted(accepted, freshest, clock.reading());
    }

    /// Returns the time `now` for the first ticks of a batch, and the number of these ticks.
    ///
    /// The outcome of a tick depends only on the minute of `now`. On a feed clock, a batch is therefore split where the
    /// minute of `now` changes.
    fn next_now(&self, batch: Batch<'_>) -> (Timestamp, usize) {
        let clock = &self.engine.clock;
        if clock.mode() == ClockMode::Wall {
            return (clock.now(), batch.len());
        }
        let mut now = clock.now().max(batch.time(0));
        let minute = now.minute();
        let mut count = 1;
        for index in 1..batch.len() {
            let next = now.max(batch.time(index));
            if next.minute() != minute {
                break;
            }
            now = next;
            count += 1;
        }
        clock.advance_to(now);
        (now, count)
    }

    /// Warns once per connection if most ticks are rejected for their time. The warning names the flag that helps.
    fn warn_of_wrong_clock(&mut self) {
        let outcomes = &self.connection.outcomes;
        let received = outcomes.received();
        if self.connection.wrong_clock.is_ongoing() || received < CLOCK_CHECK_TICKS {
            return;
        }
        let rejected = outcomes.of(Outcome::TooFarAhead) + outcomes.of(Outcome::TooOld);
        if 2 * rejected > received {
            self.connection.wrong_clock.begin();
            let flag = match self.engine.clock.mode() {
                ClockMode::Wall => "--clock feed",
                ClockMode::Feed => "--clock wall",
            };
            tracing::warn!(rejected, received, "most quotes are too old or too far ahead for this clock; try {flag}");
        }
    }
}

#[cfg(test)]
mod tests;
