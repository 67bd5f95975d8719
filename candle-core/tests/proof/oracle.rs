//! The oracle: stores every tick, sorts by `(time, seq)`, groups by interval. Slow, and obviously right.

use candle_core::{
    Candle, Config, Gaps, Interval, Outcome, Prices, Ring, Rules, State, Tick, Timestamp, Window, WindowCandle,
};

pub(crate) const MINUTE: i64 = 60_000_000;

/// The rules of the oracle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OracleRules {
    pub(crate) prices: Prices,
    pub(crate) ahead_micros: i64,
    /// The interval in seconds.
    pub(crate) seconds: i64,
    /// The number of candles in the window.
    pub(crate) candles: i64,
}

impl OracleRules {
    pub(crate) const DEFAULT: Self =
        Self { prices: Prices::Positive, ahead_micros: 5_000_000, seconds: 60, candles: 30 };

    pub(crate) fn window(self) -> Window {
        Window::new(Interval::seconds(self.seconds as u32).unwrap(), self.candles as usize).unwrap()
    }

    pub(crate) fn ring(self) -> Ring {
        Ring::new(self.window())
    }

    pub(crate) fn config(self) -> Config {
        let window = self.window();
        Config::default()
            .with_rules(self.rules())
            .with_interval(window.interval())
            .with_window(window.candles())
            .unwrap()
    }

    /// The number of the candle that contains a time.
    pub(crate) fn number(self, at: Timestamp) -> i64 {
        at.as_micros().div_euclid(self.seconds * 1_000_000)
    }

    /// The number of intervals in a ring: a tick may be 60 s ahead, and a reader one interval behind.
    fn span(self) -> i64 {
        self.candles + 59 / self.seconds + 1 + 1
    }

    pub(crate) fn rules(self) -> Rules {
        Rules::default().with_prices(self.prices).with_max_ahead_micros(self.ahead_micros)
    }

    pub(crate) fn refuse_values(self, tick: &Tick) -> Option<Outcome> {
        let positive = self.prices == Prices::Any || tick.price > 0.0;
        if !tick.price.is_finite() || !positive {
            return Some(Outcome::BadPrice);
        }
        (tick.size.is_nan() || tick.size < -1e15 || tick.size > 1e15).then_some(Outcome::BadSize)
    }

    pub(crate) fn refuse_time(self, tick: &Tick, now: Timestamp) -> Option<Outcome> {
        if tick.time.as_micros() > now.as_micros() + self.ahead_micros {
            return Some(Outcome::TooFarAhead);
        }
        (self.number(now) - self.number(tick.time) >= self.candles).then_some(Outcome::TooOld)
    }
}

/// A candle of the oracle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OracleCandle {
    number: i64,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
    buy_volume: f64,
    quote_volume: f64,
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
        let at = self.limits.number(tick.time);
        let number = |accepted: &AcceptedTick| self.limits.number(accepted.tick.time);
        let newest = self.accepted.iter().map(number).max();
        if newest.is_some_and(|newest| newest - at >= self.limits.span()) {
            return Outcome::TooOld;
        }
        let late = at < self.limits.number(now);
        let opens = self.accepted.iter().all(|accepted| number(accepted) != at);
        self.accepted.push(AcceptedTick { tick: *tick, late });
        match (late, opens) {
            (true, _) => Outcome::LateAmended,
            (false, true) => Outcome::Opened,
            (false, false) => Outcome::Updated,
        }
    }

    /// Returns the candle of every interval with a tick, oldest first.
    fn all(&self) -> Vec<OracleCandle> {
        let mut sorted = self.accepted.clone();
        sorted.sort_by_key(|accepted| (accepted.tick.time, accepted.tick.seq.wrapping_sub(self.base)));
        let candle = |ticks: &[AcceptedTick]| {
            // Compared instead of `f64::min`, which may return -0.0 for 0.0.
            let prices = ticks.iter().map(|accepted| accepted.tick.price + 0.0);
            OracleCandle {
                number: self.limits.number(ticks[0].tick.time),
                open: prices.clone().next().unwrap(),
                high: prices.clone().reduce(|a, b| if a < b { b } else { a }).unwrap(),
                low: prices.clone().reduce(|a, b| if b < a { b } else { a }).unwrap(),
                close: prices.clone().next_back().unwrap(),
                volume: ticks.iter().map(|accepted| accepted.tick.size.abs()).sum(),
                buy_volume: ticks.iter().map(|accepted| accepted.tick.size.max(0.0)).sum(),
                quote_volume: ticks.iter().map(|accepted| accepted.tick.price * accepted.tick.size.abs()).sum(),
                count: u32::try_from(ticks.len()).unwrap(),
                revised: ticks.iter().any(|accepted| accepted.late),
            }
        };
        let number = |accepted: &AcceptedTick| self.limits.number(accepted.tick.time);
        sorted.chunk_by(|a, b| number(a) == number(b)).map(candle).collect()
    }

    /// Removes every tick.
    pub(crate) fn clear(&mut self) {
        self.accepted.clear();
    }

    /// Returns open time, count and revised flag of every candle there ever was.
    pub(crate) fn counts(&self) -> Vec<(i64, u32, bool)> {
        let micros = self.limits.seconds * 1_000_000;
        self.all().iter().map(|candle| (candle.number * micros, candle.count, candle.revised)).collect()
    }

    /// Returns the candles that a ring stores: the span back from the newest one, and the last one before these.
    fn stored(&self) -> Vec<OracleCandle> {
        let all = self.all();
        let Some(newest) = all.last().map(|candle| candle.number) else { return all };
        let seed = all.iter().rposition(|candle| candle.number <= newest - self.limits.span()).unwrap_or(0);
        all[seed..].to_vec()
    }

    fn window(&self, now: Timestamp, gaps: Gaps) -> Vec<(OracleCandle, State, bool)> {
        let stored = self.stored();
        let forming = self.limits.number(now);
        let mut window = Vec::new();
        for at in forming - self.limits.candles + 1..=forming {
            let state = |candle: &OracleCandle| match (at == forming, candle.revised) {
                (true, _) => State::Forming,
                (false, true) => State::Revised,
                (false, false) => State::Final,
            };
            let before = stored.iter().rfind(|candle| candle.number < at);
            match (stored.iter().find(|candle| candle.number == at), before, gaps) {
                (Some(candle), _, _) => window.push((*candle, state(candle), false)),
                (None, Some(before), Gaps::Filled) => {
                    let close = before.close;
                    let flat = OracleCandle {
                        number: at,
                        open: close,
                        high: close,
                        low: close,
                        volume: 0.0,
                        buy_volume: 0.0,
                        quote_volume: 0.0,
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
        expected.iter().zip(stored).for_each(|(oracle, candle)| oracle.assert_is(candle, self.limits));
        assert!(ring.stored().rev().eq(ring.stored().collect::<Vec<_>>().into_iter().rev()));
        for gaps in [Gaps::Filled, Gaps::Omitted] {
            let (expected, seen) = (self.window(now, gaps), ring.candles(now, gaps).collect::<Vec<_>>());
            assert_eq!(expected.len(), seen.len(), "{expected:?} {seen:?}");
            for ((oracle, state, filled), candle) in expected.iter().zip(&seen) {
                oracle.assert_visible(candle, self.limits);
                assert_eq!((*state, *filled), (candle.state, candle.filled));
            }
            for n in [0, 1, 2, seen.len(), seen.len() + 1] {
                let last: Vec<_> = ring.last(n, now, gaps).collect();
                assert_eq!(last, seen[seen.len() - n.min(seen.len())..]);
            }
            assert_both_ends(ring, now, gaps, &seen);
        }
    }
}

impl OracleCandle {
    fn assert_is(&self, candle: &Candle, limits: OracleRules) {
        let prices = [candle.open(), candle.high(), candle.low(), candle.close()];
        assert_eq!([self.open, self.high, self.low, self.close].map(f64::to_bits), prices.map(f64::to_bits));
        let rest = (limits.number(candle.open_time()), candle.count(), candle.is_revised());
        assert_eq!((self.number, self.count, self.revised), rest);
        self.assert_volumes([candle.volume(), candle.buy_volume(), candle.quote_volume()], candle.vwap());
        assert_valid(prices);
    }

    fn assert_visible(&self, candle: &WindowCandle, limits: OracleRules) {
        let prices = [candle.open, candle.high, candle.low, candle.close];
        assert_eq!([self.open, self.high, self.low, self.close].map(f64::to_bits), prices.map(f64::to_bits));
        assert_eq!((self.number, self.count), (limits.number(candle.open_time), candle.count));
        let micros = limits.seconds * 1_000_000;
        assert_eq!(candle.open_time.as_micros(), self.number * micros);
        assert_eq!(candle.close_time, candle.open_time.saturating_add(micros));
        self.assert_volumes([candle.volume, candle.buy_volume, candle.quote_volume], candle.vwap());
        assert_valid(prices);
    }

    fn assert_volumes(&self, [volume, buy, quote]: [f64; 3], vwap: Option<f64>) {
        assert_close(self.volume, volume);
        assert_close(self.buy_volume, buy);
        // Prices of both signs cancel each other, and the largest ones overflow: the sums then depend on their order.
        let plain = self.low >= 0.0 && self.high < 1e100;
        assert!(quote.is_finite());
        if plain {
            assert_close(self.quote_volume, quote);
        }
        assert_eq!(vwap.is_some(), volume > 0.0);
        if let Some(vwap) = vwap {
            assert!((self.low..=self.high).contains(&vwap));
            if plain {
                assert_close(vwap, (self.quote_volume / self.volume).clamp(self.low, self.high));
            }
        }
    }
}

/// Asserts that the window read from both ends alternately is the window read from the front, with right lengths.
fn assert_both_ends(ring: &Ring, now: Timestamp, gaps: Gaps, seen: &[WindowCandle]) {
    for step in [1, 2, 3, 100] {
        let (mut candles, mut front, mut back) = (ring.candles(now, gaps), Vec::new(), Vec::new());
        for turn in 0.. {
            assert_eq!(candles.len(), seen.len() - front.len() - back.len());
            let from_front = turn % step == 1;
            let next = if from_front { candles.next() } else { candles.next_back() };
            let Some(next) = next else { break };
            if from_front { front.push(next) } else { back.push(next) }
        }
        assert!(candles.next().is_none() && candles.next_back().is_none());
        front.extend(back.into_iter().rev());
        assert_eq!(front, seen);
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
        assert_eq!((a.open_time(), a.count(), a.is_revised()), (b.open_time(), b.count(), b.is_revised()));
        assert_eq!(a.last_time(), b.last_time());
        assert_close(a.volume(), b.volume());
        assert_close(a.buy_volume(), b.buy_volume());
        if a.low() > 0.0 && a.high() < 1e100 {
            assert_close(a.quote_volume(), b.quote_volume());
        }
    }
}
