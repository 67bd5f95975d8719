//! The oracle: stores every tick, sorts by `(time, seq)`, groups by minute. Slow, and obviously right.

use std::collections::BTreeMap;

use candle_core::{
    Aggregator, Candle, Gaps, Outcome, Prices, Ring, Rules, State, Tick, Timestamp, Unlisted, WindowCandle,
};

pub(crate) const MINUTE: i64 = 60_000_000;

/// The rules of the oracle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OracleRules {
    pub(crate) prices: Prices,
    pub(crate) ahead_micros: i64,
}

impl OracleRules {
    pub(crate) const DEFAULT: Self = Self { prices: Prices::Positive, ahead_micros: 5_000_000 };

    pub(crate) fn rules(self) -> Rules {
        Rules::default().with_prices(self.prices).with_max_ahead_micros(self.ahead_micros)
    }

    fn refuse_values(self, tick: &Tick) -> Option<Outcome> {
        let positive = self.prices == Prices::Any || tick.price > 0.0;
        if !tick.price.is_finite() || !positive {
            return Some(Outcome::BadPrice);
        }
        (tick.size.is_nan() || tick.size < 0.0 || tick.size > 1e15).then_some(Outcome::BadSize)
    }

    fn refuse_time(self, tick: &Tick, now: Timestamp) -> Option<Outcome> {
        if tick.time.as_micros() > now.as_micros() + self.ahead_micros {
            return Some(Outcome::TooFarAhead);
        }
        (minute(now) - minute(tick.time) >= 30).then_some(Outcome::TooOld)
    }
}

pub(crate) fn minute(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(MINUTE)
}

/// A candle of the oracle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OracleCandle {
    minute: i64,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
    count: u32,
    revised: bool,
}

#[derive(Clone, Copy, Debug)]
struct AcceptedTick {
    tick: Tick,
    late: bool,
}

/// The accepted ticks of one instrument, in the order of arrival.
#[derive(Clone, Debug)]
pub(crate) struct OracleRing {
    limits: OracleRules,
    /// The first sequence number. Later ones are higher and may wrap at the largest `u64`.
    base: u64,
    accepted: Vec<AcceptedTick>,
}

impl OracleRing {
    pub(crate) fn new(limits: OracleRules, base: u64) -> Self {
        Self { limits, base, accepted: Vec::new() }
    }

    pub(crate) fn record(&mut self, tick: &Tick, now: Timestamp) -> Outcome {
        let refused = self.limits.refuse_values(tick).or_else(|| self.limits.refuse_time(tick, now));
        if let Some(refused) = refused {
            return refused;
        }
        let at = minute(tick.time);
        let newest = self.accepted.iter().map(|accepted| minute(accepted.tick.time)).max();
        if newest.is_some_and(|newest| newest - at >= 32) {
            return Outcome::TooOld;
        }
        let late = at < minute(now);
        let opens = self.accepted.iter().all(|accepted| minute(accepted.tick.time) != at);
        self.accepted.push(AcceptedTick { tick: *tick, late });
        match (late, opens) {
            (true, _) => Outcome::LateAmended,
            (false, true) => Outcome::Opened,
            (false, false) => Outcome::Updated,
        }
    }

    /// Returns the candle of every minute with a tick, oldest first.
    fn candles_by_minute(&self) -> Vec<OracleCandle> {
        let mut sorted = self.accepted.clone();
        sorted.sort_by_key(|accepted| (accepted.tick.time, accepted.tick.seq.wrapping_sub(self.base)));
        let candle = |ticks: &[AcceptedTick]| {
            // Compared instead of `f64::min`, which may return -0.0 for 0.0.
            let prices = ticks.iter().map(|accepted| accepted.tick.price + 0.0);
            OracleCandle {
                minute: minute(ticks[0].tick.time),
                open: prices.clone().next().unwrap(),
                high: prices.clone().reduce(|a, b| if a < b { b } else { a }).unwrap(),
                low: prices.clone().reduce(|a, b| if b < a { b } else { a }).unwrap(),
                close: prices.clone().next_back().unwrap(),
                volume: ticks.iter().map(|accepted| accepted.tick.size).sum(),
                count: u32::try_from(ticks.len()).unwrap(),
                revised: ticks.iter().any(|accepted| accepted.late),
            }
        };
        sorted.chunk_by(|a, b| minute(a.tick.time) == minute(b.tick.time)).map(candle).collect()
    }

    /// Returns the candles that a ring stores: 32 minutes back from the newest one, and the last one before these.
    fn stored(&self) -> Vec<OracleCandle> {
        let candles_by_minute = self.candles_by_minute();
        let Some(newest) = candles_by_minute.last().map(|candle| candle.minute) else { return candles_by_minute };
        let seed = candles_by_minute.iter().rposition(|candle| candle.minute <= newest - 32).unwrap_or(0);
        candles_by_minute[seed..].to_vec()
    }

    fn window(&self, now: Timestamp, gaps: Gaps) -> Vec<(OracleCandle, State, bool)> {
        let stored = self.stored();
        let forming = minute(now);
        let mut window = Vec::new();
        for at in forming - 29..=forming {
            let state = |candle: &OracleCandle| match (at == forming, candle.revised) {
                (true, _) => State::Forming,
                (false, true) => State::Revised,
                (false, false) => State::Final,
            };
            let before = stored.iter().rfind(|candle| candle.minute < at);
            match (stored.iter().find(|candle| candle.minute == at), before, gaps) {
                (Some(candle), _, _) => window.push((*candle, state(candle), false)),
                (None, Some(before), Gaps::Filled) => {
                    let close = before.close;
                    let flat = OracleCandle {
                        minute: at,
                        open: close,
                        high: close,
                        low: close,
                        volume: 0.0,
                        count: 0,
                        ..*before
                    };
                    let flat = OracleCandle { revised: false, ..flat };
                    window.push((flat, state(&flat), true));
                }
                (None, _, _) => {}
            }
        }
        window
    }

    /// Asserts that the ring has the candles of the accepted ticks, and the right window seen from `now`.
    pub(crate) fn assert_is(&self, ring: &Ring, now: Timestamp) {
        let (expected, stored) = (self.stored(), ring.stored().collect::<Vec<_>>());
        assert_eq!(expected.len(), stored.len(), "{expected:?} {stored:?}");
        expected.iter().zip(stored).for_each(|(oracle, candle)| oracle.assert_is(candle));
        for gaps in [Gaps::Filled, Gaps::Omitted] {
            let (expected, seen) = (self.window(now, gaps), ring.candles(now, gaps).collect::<Vec<_>>());
            assert_eq!(expected.len(), seen.len(), "{expected:?} {seen:?}");
            for ((oracle, state, filled), candle) in expected.iter().zip(&seen) {
                oracle.assert_visible(candle);
                assert_eq!((*state, *filled), (candle.state, candle.filled));
            }
        }
    }
}

impl OracleCandle {
    fn assert_is(&self, candle: &Candle) {
        let prices = [candle.open(), candle.high(), candle.low(), candle.close()];
        assert_eq!([self.open, self.high, self.low, self.close].map(f64::to_bits), prices.map(f64::to_bits));
        let rest = (candle.minute().number(), candle.count(), candle.is_revised());
        assert_eq!((self.minute, self.count, self.revised), rest);
        assert_close(self.volume, candle.volume());
        assert_valid(prices);
    }

    fn assert_visible(&self, candle: &WindowCandle) {
        let prices = [candle.open, candle.high, candle.low, candle.close];
        assert_eq!([self.open, self.high, self.low, self.close].map(f64::to_bits), prices.map(f64::to_bits));
        assert_eq!((self.minute, self.count), (candle.minute.number(), candle.count));
        assert_close(self.volume, candle.volume);
        assert_valid(prices);
    }
}

fn assert_valid([open, high, low, close]: [f64; 4]) {
    assert!(low <= open && low <= close && open <= high && close <= high);
}

/// Asserts that two sums of the same numbers in different orders are equal to a relative 1e-9.
pub(crate) fn assert_close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * a.abs().max(b.abs()), "{a} is not {b}");
}

/// Asserts that two rings are equal, except for the order in which volumes were added.
pub(crate) fn assert_same(a: &Ring, b: &Ring) {
    let (left, right) = (a.stored().collect::<Vec<_>>(), b.stored().collect::<Vec<_>>());
    assert_eq!(left.len(), right.len(), "{left:?} {right:?}");
    for (a, b) in left.into_iter().zip(right) {
        let prices = |candle: &Candle| [candle.open(), candle.high(), candle.low(), candle.close()].map(f64::to_bits);
        assert_eq!(prices(a), prices(b));
        assert_eq!((a.minute(), a.count(), a.is_revised()), (b.minute(), b.count(), b.is_revised()));
        assert_eq!(a.last_time(), b.last_time());
        assert_close(a.volume(), b.volume());
    }
}

/// A listed instrument of the oracle.
#[derive(Clone, Debug)]
struct OracleInstrument {
    description: Option<String>,
    views: u64,
    ring: OracleRing,
}

/// An aggregator of the oracle.
#[derive(Clone, Debug)]
pub(crate) struct OracleAggregator {
    limits: OracleRules,
    max_instruments: usize,
    listed: BTreeMap<String, OracleInstrument>,
    counts: BTreeMap<Outcome, u64>,
}

impl OracleAggregator {
    pub(crate) fn new(limits: OracleRules, max_instruments: usize) -> Self {
        Self { limits, max_instruments, listed: BTreeMap::new(), counts: BTreeMap::new() }
    }

    fn refuse_listing(&self, id: &str) -> Option<Outcome> {
        let is_invalid = |c: char| c.is_control() || c.is_whitespace();
        if id.is_empty() || id.len() > 64 || id == "popular" || id.contains(is_invalid) {
            return Some(Outcome::BadId);
        }
        (self.listed.len() >= self.max_instruments).then_some(Outcome::Full)
    }

    /// Lists an instrument. Returns true if it is listed after the call.
    pub(crate) fn list(&mut self, id: &str, description: Option<&str>) -> bool {
        if !self.listed.contains_key(id) {
            if self.refuse_listing(id).is_some() {
                return false;
            }
            let ring = OracleRing::new(self.limits, 0);
            self.listed.insert(id.to_owned(), OracleInstrument { description: None, views: 0, ring });
        }
        self.listed.get_mut(id).unwrap().description = description.map(str::to_owned);
        true
    }

    pub(crate) fn delist(&mut self, id: &str) -> bool {
        self.listed.remove(id).is_some()
    }

    pub(crate) fn record(&mut self, id: &str, tick: &Tick, now: Timestamp, unlisted: Unlisted) -> Outcome {
        let outcome = self.validate(id, tick, now, unlisted);
        *self.counts.entry(outcome).or_default() += 1;
        outcome
    }

    fn validate(&mut self, id: &str, tick: &Tick, now: Timestamp, unlisted: Unlisted) -> Outcome {
        if let Some(refused) = self.limits.refuse_values(tick) {
            return refused;
        }
        if !self.listed.contains_key(id) {
            if unlisted == Unlisted::Reject {
                return Outcome::UnknownInstrument;
            }
            if let Some(refused) = self.limits.refuse_time(tick, now).or_else(|| self.refuse_listing(id)) {
                return refused;
            }
            self.list(id, None);
        }
        self.listed.get_mut(id).unwrap().ring.record(tick, now)
    }

    pub(crate) fn count_view(&mut self, id: &str) -> Option<u64> {
        let entry = self.listed.get_mut(id)?;
        entry.views += 1;
        Some(entry.views)
    }

    pub(crate) fn clear_candles(&mut self) {
        self.listed.values_mut().for_each(|entry| entry.ring.accepted.clear());
    }

    pub(crate) fn top(&self, k: usize) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.listed.iter().map(|(id, entry)| (id.clone(), entry.views)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.as_bytes().cmp(b.0.as_bytes())));
        all.truncate(k);
        all
    }

    /// Asserts that the aggregator returns the same candles, catalogue, views, top and outcomes.
    pub(crate) fn assert_is(&self, aggregator: &Aggregator, now: Timestamp) {
        assert_eq!(aggregator.len(), self.listed.len());
        let page = aggregator.page(None, "", usize::MAX);
        assert!(page.iter().map(|line| line.id.as_str()).eq(self.listed.keys()), "{page:?}");
        for (line, (id, entry)) in page.iter().zip(&self.listed) {
            let history = aggregator.history(id).unwrap();
            entry.ring.assert_is(&history.ring, now);
            assert_eq!((history.description.as_deref(), history.views), (entry.description.as_deref(), entry.views));
            assert_eq!((&line.description, line.views), (&history.description, history.views));
            assert_eq!(line.last_price, history.last_price());
        }
        for k in [1, 10, 64] {
            assert_eq!(top(aggregator, k), self.top(k));
        }
        let outcomes = aggregator.outcomes();
        for outcome in Outcome::ALL {
            assert_eq!(outcomes.of(outcome), self.counts.get(&outcome).copied().unwrap_or(0), "{outcome}");
        }
        assert_eq!(outcomes.received(), self.counts.values().sum::<u64>());
        assert_eq!(outcomes.received(), outcomes.accepted() + outcomes.rejected());
    }
}

pub(crate) fn top(aggregator: &Aggregator, k: usize) -> Vec<(String, u64)> {
    let mut top = Vec::new();
    aggregator.top(k, &mut top);
    top.into_iter().map(|popular| (popular.id.as_str().to_owned(), popular.views)).collect()
}
