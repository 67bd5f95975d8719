//! One simulated world: the feeds, the engine that reads them, and a model of the expected results.

use std::sync::Arc;
use std::time::Duration;

use candle_core::{Gaps, Timestamp, WINDOW_MINUTES, WindowCandle};
use candle_engine::Engine;
use candle_engine::feeds::failover::Failover;
use candle_engine::feeds::health::{MAX_LAG, State};
use candle_engine::feeds::rate::FIRST_QUOTE;
use fastrand::Rng;
use tokio::time::Instant;

use super::candles::{Catalogue, ExpectedCandle, Model};
use super::coverage::{CoverageModel, Delivery};
use super::quotes::{self, START, STEP, SimulatedQuote};
use super::scenario::{Fault, Phase, Scenario};
use super::{MAX_FAIL_BACK, MAX_FAIL_OVER, MAX_UNSUPPLIED, Millis, STATE_DELAY};

/// The simulated state, shared by the connections and the checks.
#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    pub(super) started: Instant,
    pub(super) random: Rng,
    pub(super) scenarios: Vec<Scenario>,
    catalogues: Vec<Catalogue>,
    engine: Arc<Engine>,
    pub(super) model: Model,
    coverage: CoverageModel,
    /// The index of the active feed, and the time since which it is active.
    active: usize,
    active_since: Millis,
    /// The connection that is read: the index of its feed, and its opening time. `reading_since` is the time of the
    /// first read.
    reading: Option<(usize, Millis)>,
    reading_since: Millis,
    /// The silence timeout of the active feed, as the engine reports it.
    silence_timeout: Millis,
    /// The last time at which the active feed delivered every quote.
    supplied: Millis,
    /// The last time at which the active feed delivered every quote or a part of them.
    flowed: Millis,
    /// The last time at which a quote was accepted.
    accepted: Millis,
    /// The number of switches between feeds.
    pub(super) switches: u64,
}

impl World {
    pub(super) fn new(seed: u64, catalogues: Vec<Catalogue>, engine: Arc<Engine>) -> Self {
        let mut random = Rng::with_seed(seed);
        Self {
            seed,
            started: Instant::now(),
            scenarios: catalogues.iter().map(|_| Scenario::random(&mut random)).collect(),
            random,
            catalogues,
            engine,
            model: Model::default(),
            coverage: CoverageModel::new(),
            active: 0,
            active_since: 0,
            reading: None,
            reading_since: 0,
            silence_timeout: 0,
            supplied: 0,
            flowed: 0,
            accepted: 0,
            switches: 0,
        }
    }

    pub(super) fn now(&self) -> Millis {
        u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    pub(super) fn phase(&self, feed: usize) -> Phase {
        self.scenarios[feed].at(self.now())
    }

    /// Extends the model to the current time, and returns that time.
    fn advance(&mut self) -> Millis {
        let now = self.now();
        self.model.expire(now);
        while self.coverage.current.to < now {
            let (delivery, to) = match self.reading {
                Some((feed, _)) => {
                    let phase = self.scenarios[feed].at(self.coverage.current.to);
                    (phase.fault.into(), phase.to.min(now))
                }
                None => (Delivery::Unconnected, now),
            };
            self.coverage.extend(delivery, to, self.silence_timeout);
        }
        now
    }

    /// Updates the index of the active feed.
    fn observe_active(&mut self) {
        let active = self.engine.feeds.inspect(Failover::active);
        if active != self.active {
            self.active = active;
            self.active_since = self.now();
            self.switches += 1;
            self.model.switched();
        }
    }

    /// Records that a connection to a feed is being opened.
    pub(super) fn connecting(&mut self) {
        self.observe_active();
    }

    /// Records that the supervisor or the probe reads a connection to `feed`.
    pub(super) fn reads(&mut self, feed: usize, opened: Millis) {
        self.observe_active();
        let connection = (feed, opened);
        if feed == self.active && self.reading != Some(connection) {
            let now = self.advance();
            assert_eq!(self.reading, None, "{}: two connections are read", self.context());
            self.reading = Some(connection);
            self.reading_since = now;
            self.model.connected(feed, now);
        }
    }

    fn is_read(&self, feed: usize) -> bool {
        self.reading.is_some_and(|(reading, _)| reading == feed)
    }

    /// Applies an event of the active feed to the model, and records the time if a quote is accepted.
    fn apply(&mut self, now: Millis, event: impl FnOnce(&mut Model)) {
        let before = self.model.accepted;
        event(&mut self.model);
        if self.model.accepted > before {
            self.accepted = now;
        }
    }

    /// Returns the instruments that `feed` announces now.
    pub(super) fn announces(&mut self, feed: usize) -> std::ops::Range<u64> {
        let now = self.advance();
        let ids = quotes::instruments(self.phase(feed).restarts);
        if self.is_read(feed) {
            let announced = ids.clone();
            self.apply(now, |model| announced.for_each(|id| model.announced(id, now)));
        }
        ids
    }

    /// Returns the quotes of `step` that `feed` delivers now.
    pub(super) fn delivers(&mut self, feed: usize, step: u64) -> Vec<SimulatedQuote> {
        let now = self.advance();
        let restarts = self.scenarios[feed].at(step * STEP).restarts;
        let quotes: Vec<SimulatedQuote> = quotes::quotes(self.seed, step, restarts).collect();
        if self.is_read(feed) {
            self.coverage.quoted();
            let catalogue = self.catalogues[feed];
            self.apply(now, |model| quotes.iter().for_each(|quote| model.delivered(*quote, catalogue)));
        }
        quotes
    }

    /// Records in the model that the feed's connection, opened at `opened`, has ended.
    pub(super) fn disconnects(&mut self, feed: usize, opened: Millis) {
        if self.reading == Some((feed, opened)) {
            self.advance();
            self.reading = None;
            self.model.disconnected();
        }
    }

    /// Returns the prefix of a failure message: the seed, the feeds and the time.
    fn context(&self) -> String {
        let now = self.now();
        format!("CANDLE_SIMULATION_SEED={}, {:?}, step {} at {now} ms", self.seed, self.catalogues, now / STEP)
    }

    /// Compares everything that the engine reports with the model.
    pub(super) fn check(&mut self) {
        let now = self.advance();
        self.observe_active();
        self.check_counts();
        for id in std::mem::take(&mut self.model.touched) {
            self.check_candles(id, 1);
        }
        if now.is_multiple_of(50 * STEP) {
            self.check_catalogue();
            self.model.candles.keys().for_each(|id| self.check_candles(*id, usize::MAX));
        }
        self.check_state(now);
        self.check_coverage(now);
        self.check_gap(now);
        self.check_switches(now);
    }

    fn check_counts(&self) {
        let outcomes = self.engine.aggregator.outcomes();
        let reported =
            (outcomes.accepted(), outcomes.rejected(), self.engine.feeds.repeated(), self.engine.unreadable());
        let expected = (self.model.accepted, self.model.rejected, self.model.repeated, 0);
        assert_eq!(reported, expected, "{}: quotes accepted, rejected, repeated, unreadable", self.context());
    }

    fn check_catalogue(&self) {
        let mut listed: Vec<u64> = Vec::new();
        for summary in self.engine.aggregator.page(None, "", 1000) {
            listed.push(summary.id.as_str().parse().unwrap());
        }
        listed.sort_unstable();
        assert!(listed.iter().eq(self.model.candles.keys()), "{}: {listed:?} are listed", self.context());
    }

    /// Compares the `newest` candles of an instrument with the model.
    fn check_candles(&self, id: u64, newest: usize) {
        let history = self.engine.aggregator.history(&id.to_string()).unwrap();
        let candles: Vec<WindowCandle> = history.candles(self.engine.clock.now(), Gaps::Omitted).collect();
        let forming = (START + self.now()) / 60_000;
        let window = forming + 1 - WINDOW_MINUTES.unsigned_abs()..=forming;
        let expected: Vec<(&u64, &ExpectedCandle)> = self.model.candles[&id].range(window).collect();
        let reported = candles.iter().map(|candle| {
            let WindowCandle { open_time, open, high, low, close, count, volume, .. } = *candle;
            (open_time.minute().number().unsigned_abs(), [open, high, low, close, volume], count)
        });
        let expected = expected.into_iter().map(|(minute, candle)| {
            let ExpectedCandle { open, high, low, close, count, .. } = *candle;
            (*minute, [open, high, low, close, f64::from(count)], count)
        });
        assert!(
            reported.clone().rev().take(newest).eq(expected.clone().rev().take(newest)),
            "{}: candles of {id}\n{:?}\nare not\n{:?}",
            self.context(),
            reported.collect::<Vec<_>>(),
            expected.collect::<Vec<_>>(),
        );
    }

    /// Compares the state of each feed with its behaviour, if the behaviour has lasted long enough to change the state.
    fn check_state(&mut self, now: Millis) {
        let feeds = &self.engine.feeds;
        let elapsed = self.engine.clock.elapsed();
        if (now / STEP).is_multiple_of(8) {
            let silence_timeout = feeds.feed_reports(elapsed)[self.active].silence_timeout.unwrap();
            assert!(silence_timeout <= FIRST_QUOTE, "{}: silence_timeout of {silence_timeout:?}", self.context());
            self.silence_timeout = u64::try_from(silence_timeout.as_millis()).unwrap();
        }
        for feed in (1..self.scenarios.len()).filter(|feed| *feed != self.active) {
            let state = feeds.inspect(|failover| failover.feeds()[feed].state(elapsed));
            assert_eq!(state, State::Standby, "{}: the feed {feed}", self.context());
        }
        let state = feeds.inspect(|failover| failover.state(elapsed));
        let Some((feed, _)) = self.reading else {
            let is_expected = matches!(state, State::Connecting | State::Down);
            assert!(is_expected || now == 0, "{}: {state:?} without a connection", self.context());
            return;
        };
        let Phase { from, fault, .. } = self.scenarios[feed].at(now);
        let lasted = now - from.max(self.reading_since);
        let expected = match fault {
            Fault::None if lasted > STATE_DELAY => State::Live,
            Fault::Late(lag) if lasted > STATE_DELAY => {
                let lag = lag.min((now - from) / 3);
                let late = u64::try_from(MAX_LAG.as_millis()).unwrap();
                if lag.abs_diff(late) < STATE_DELAY {
                    return;
                }
                if lag > late { State::Lagging } else { State::Live }
            }
            // Late quotes may be accepted after the start of the silence: a backlog, or quotes that waited for their
            // `ADD`.
            Fault::Mute | Fault::Frozen if lasted.min(now - self.accepted) > self.silence_timeout + 2 * STEP => {
                State::Silent
            }
            Fault::Drip if lasted > 2 * STATE_DELAY => State::Slow,
            _ => return,
        };
        assert_eq!(state, expected, "{}: {fault:?} for {lasted} ms", self.context());
    }

    fn check_coverage(&self, now: Millis) {
        let at: Timestamp = self.engine.clock.now();
        let window = self.engine.feeds.coverage(at);
        let checked = if now.is_multiple_of(50 * STEP) { WINDOW_MINUTES } else { 3 };
        for back in 1..checked {
            let minute = at.minute().saturating_add(-back);
            let number = minute.number().unsigned_abs();
            if number < START / 60_000 {
                break;
            }
            if let Err(error) = self.coverage.check(window.of(minute), number) {
                panic!("{}: {error}, {back} minutes before", self.context());
            }
        }
    }

    /// Checks that a gap, a period without delivery, starts at the last delivery or accepted quote.
    ///
    /// The engine may notice the gap later.
    fn check_gap(&mut self, now: Millis) {
        if matches!(self.coverage.current.delivery, Delivery::Supplied | Delivery::Dripping) {
            self.flowed = now;
        } else if !self.engine.feeds.is_delivering() {
            let report = self.engine.feeds.report(self.engine.clock.reading());
            let Some(gap) = report.gaps.last() else { return };
            let latest = Duration::from_millis(START + self.flowed.max(self.accepted) + 2 * STEP).as_secs_f64();
            let from = gap.from.as_micros() as f64 / 1e6;
            assert!(from <= latest && gap.to.is_none(), "{}: {gap:?} after {latest}", self.context());
        }
    }

    /// Checks the time without quotes, the time until a failover and the time until a fail-back against their limits.
    fn check_switches(&mut self, now: Millis) {
        let healthy_for = |feed: usize| self.scenarios[feed].healthy_since(now).map_or(0, |since| now - since);
        if self.coverage.current.delivery == Delivery::Supplied {
            self.supplied = now;
        }
        let best = (0..self.scenarios.len()).map(healthy_for).max().unwrap();
        let unsupplied = (now - self.supplied).min(best);
        assert!(unsupplied <= MAX_UNSUPPLIED, "{}: {unsupplied} ms without supply", self.context());
        if let [_, _] = *self.scenarios {
            // The other feed must have been healthy since long before the active feed failed.
            let other = healthy_for(1 - self.active);
            let is_overdue = now - self.supplied > MAX_FAIL_OVER && other > now - self.supplied + MAX_UNSUPPLIED;
            assert!(!is_overdue, "{}: no fail-over to the other feed", self.context());
        }
        let first = healthy_for(0).min(now - self.active_since);
        assert!(
            self.active == 0 || first <= MAX_FAIL_BACK,
            "{}: no fail-back to the first feed, healthy for {first} ms",
            self.context()
        );
    }
}

/// Returns the start of a run.
pub(super) fn start() -> Timestamp {
    Timestamp::EPOCH.saturating_add(i64::try_from(START).unwrap() * 1000)
}

/// Converts milliseconds to a duration.
pub(super) const fn duration(millis: Millis) -> Duration {
    Duration::from_millis(millis)
}
