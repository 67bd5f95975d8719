//! Random ticks with every edge case, and the values of `now` at which they are recorded.

use candle_core::{Prices, Tick, Timestamp};
use proptest::prelude::*;

use crate::oracle::{MINUTE, OracleRules};

/// A tick and the `now` at which it is recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) tick: Tick,
    pub(crate) now: Timestamp,
}

/// Steps, and their first sequence number.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    pub(crate) base: u64,
    pub(crate) steps: Vec<Step>,
}

pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::EPOCH.saturating_add(micros)
}

pub(crate) fn limits() -> impl Strategy<Value = OracleRules> {
    let prices = prop_oneof![Just(Prices::Positive), Just(Prices::Any)];
    let ahead = prop_oneof![3 => Just(5_000_000), 1 => Just(0), 1 => Just(60_000_000)];
    let window = prop_oneof![
        4 => Just((60, 30)),
        4 => prop::sample::select(vec![(1, 1), (1, 90), (45, 7), (90, 7), (300, 12), (3_600, 3), (4_320, 5), (86_400, 2)]),
    ];
    (prices, ahead, window).prop_map(|(prices, ahead_micros, (seconds, candles))| OracleRules {
        prices,
        ahead_micros,
        seconds,
        candles,
    })
}

/// Steps whose times fit the interval and the window of the rules, and these rules.
pub(crate) fn steps_and_limits(len: std::ops::Range<usize>) -> impl Strategy<Value = (Steps, OracleRules)> {
    limits().prop_flat_map(move |limits| (steps_for(limits, len.clone()), Just(limits)))
}

/// The first and last minutes of the range of time, both sides of the epoch, and an ordinary day.
pub(crate) fn origin() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        2 => Just(at(0)),
        1 => Just(at(-1)),
        1 => Just(at(-86_400_000_000 * 365 * 100)),
        1 => (0..40 * MINUTE).prop_map(|offset| Timestamp::MIN.saturating_add(offset)),
        1 => (0..40 * MINUTE).prop_map(|offset| Timestamp::MAX.saturating_add(-offset)),
        3 => (0..MINUTE).prop_map(|offset| at(1_742_944_020_000_000 + offset)),
    ]
}

pub(crate) fn seq_base() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just((1 << 21) - 2),
        Just((1 << 27) - 2),
        Just((1 << 37) - 2),
        Just((1 << 38) - 2),
        Just(u64::MAX - 1),
        any::<u64>()
    ]
}

/// Small steps, so that there are ties, and the widest steps that can be distinguished.
fn seq_step(limits: OracleRules) -> impl Strategy<Value = u64> {
    let widest = match limits.seconds {
        ..=60 => 1_u64 << 37,
        61..=3_600 => 1 << 26,
        _ => 1 << 21,
    };
    prop_oneof![8 => 0..4_u64, 1 => Just(widest - 1), 1 => 0..widest]
}

pub(crate) fn price() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (1..6_i32).prop_map(f64::from),
        4 => 0.01..1e6_f64,
        1 => prop::sample::select(vec![f64::MAX, f64::MIN_POSITIVE, 5e-324, -3.5, -0.0, 0.0, f64::MIN]),
    ]
}

/// Mostly valid prices, and some that are refused under all rules.
fn maybe_invalid_price() -> impl Strategy<Value = f64> {
    prop_oneof![
        15 => price(),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ]
}

fn maybe_invalid_size() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => Just(0.0),
        8 => -1e3..1e3_f64,
        1 => prop::sample::select(vec![1e15, 1.000_000_1e15, -1e15, -1.000_000_1e15, -0.0, f64::NAN, f64::INFINITY, 1e-9]),
    ]
}

/// Steps of `now` in microseconds: mostly small, sometimes back, sometimes a million intervals.
fn leap(unit: i64, window: i64) -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => 0..unit / 3,
        3 => (0..3_i64).prop_map(move |intervals| intervals * unit),
        2 => -(window + 10) * unit..(window + 10) * unit,
        1 => prop::sample::select(vec![1_000_000, -1_000_000, window + 1, window + 2, window + 3])
            .prop_map(move |intervals| intervals * unit),
    ]
}

/// The time of a tick: anywhere in the window, just outside, and at each edge of the window.
#[derive(Clone, Copy, Debug)]
enum TickTime {
    FromNow(i64),
    FromOpenTime(i64),
    SameAsLast,
}

fn tick_time(unit: i64, window: i64) -> impl Strategy<Value = TickTime> {
    let edge = -1..=1_i64;
    prop_oneof![
        4 => (-(window + 1) * unit..=6_000_000).prop_map(TickTime::FromNow),
        4 => (-3 * unit..=5_000_000).prop_map(TickTime::FromNow),
        1 => edge.clone().prop_map(|off| TickTime::FromNow(5_000_000 + off)),
        1 => edge.clone().prop_map(|off| TickTime::FromNow(MINUTE + off)),
        1 => edge.clone().prop_map(move |off| TickTime::FromOpenTime(-(window - 1) * unit + off)),
        1 => edge.prop_map(TickTime::FromOpenTime),
        3 => Just(TickTime::SameAsLast),
    ]
}

pub(crate) fn steps(len: std::ops::Range<usize>) -> impl Strategy<Value = Steps> {
    steps_for(OracleRules::DEFAULT, len)
}

fn steps_for(limits: OracleRules, len: std::ops::Range<usize>) -> impl Strategy<Value = Steps> {
    let (unit, window, interval) = (limits.seconds * 1_000_000, limits.candles, limits.window().interval());
    let (leap, tick_time) = (leap(unit, window), tick_time(unit, window));
    let raw = (leap, tick_time, seq_step(limits), maybe_invalid_price(), maybe_invalid_size());
    (origin(), seq_base(), prop::collection::vec(raw, len)).prop_map(move |(origin, base, raw)| {
        let (mut now, mut last) = (origin, origin);
        let mut walk = |(leap, tick_time, seq, price, size)| {
            now = now.saturating_add(leap);
            last = match tick_time {
                TickTime::FromNow(off) => now.saturating_add(off),
                TickTime::FromOpenTime(off) => interval.open_time(now).saturating_add(off),
                TickTime::SameAsLast => last,
            };
            let tick = Tick { time: last, seq: base.wrapping_add(seq), price, size };
            Step { tick, now }
        };
        Steps { base, steps: raw.into_iter().map(&mut walk).collect() }
    })
}

/// Acceptable ticks of the window that ends at the returned `now`, with distinct `(time, seq)`, in that order.
pub(crate) fn distinct(len: std::ops::Range<usize>) -> impl Strategy<Value = Steps> {
    let raw = (prop_oneof![Just(0_i64), 0..2_i64, 0..MINUTE / 2], 1.0..5.0_f64, 0.0..9.0_f64);
    (origin(), seq_base(), prop::collection::vec(raw, len)).prop_map(|(origin, base, raw)| {
        let origin = origin.saturating_add(40 * MINUTE).saturating_add(-31 * MINUTE);
        let (mut time, mut ticks) = (origin, Vec::new());
        for (number, (pause, price, size)) in (0..).zip(raw) {
            time = time.saturating_add(pause);
            ticks.push(Tick { time, seq: base.wrapping_add(number), price, size });
        }
        let now = time;
        ticks.retain(|tick| now.minute().number() - tick.time.minute().number() < 30);
        Steps { base, steps: ticks.into_iter().map(|tick| Step { tick, now }).collect() }
    })
}
