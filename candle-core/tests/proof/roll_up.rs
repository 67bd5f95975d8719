//! A roll-up is what an aggregator of the coarser interval has, cut to the candles that lie wholly inside the window.

use candle_core::{Gaps, Interval, Ring, State, WindowCandle};
use proptest::prelude::*;

use crate::oracle::{OracleRules, assert_close};
use crate::ticks::{Steps, steps_and_limits};

/// The fields that do not depend on the order of addition, the state aside.
fn fields(candle: &WindowCandle) -> (i64, i64, [u64; 4], u32, bool) {
    let prices = [candle.open, candle.high, candle.low, candle.close].map(f64::to_bits);
    (candle.open_time.as_micros(), candle.close_time.as_micros(), prices, candle.count, candle.filled)
}

fn assert_rolled_up(base: &Ring, coarse: &Ring, now: candle_core::Timestamp, factor: i64, limits: OracleRules) {
    let interval = coarse.window().interval();
    let window_opens =
        limits.window().interval().open_time(now).saturating_add(-(limits.candles - 1) * limits.seconds * 1_000_000);
    for gaps in [Gaps::Filled, Gaps::Omitted] {
        let rolled_up: Vec<_> = base.rolled_up(interval, now, gaps).unwrap().collect();
        let expected: Vec<_> = coarse.candles(now, gaps).filter(|candle| candle.open_time >= window_opens).collect();
        assert_eq!(
            rolled_up.iter().map(fields).collect::<Vec<_>>(),
            expected.iter().map(fields).collect::<Vec<_>>(),
            "{factor} x {} s, {gaps:?}",
            limits.seconds
        );
        for (candle, expected) in rolled_up.iter().zip(&expected) {
            assert_close(candle.volume, expected.volume);
            assert_close(candle.buy_volume, expected.buy_volume);
            assert!(candle.buy_volume <= candle.volume * (1.0 + 1e-9));
            let parts: Vec<_> = base
                .candles(now, gaps)
                .filter(|part| candle.open_time <= part.open_time && part.open_time < candle.close_time)
                .collect();
            let state = match (
                candle.open_time == interval.open_time(now),
                parts.iter().any(|part| part.state == State::Revised),
            ) {
                (true, _) => State::Forming,
                (false, true) => State::Revised,
                (false, false) => State::Final,
            };
            assert_eq!(candle.state, state);
        }
        let backwards: Vec<_> = base.rolled_up(interval, now, gaps).unwrap().rev().collect();
        assert!(backwards.iter().rev().eq(&rolled_up));
    }
}

proptest! {
    #[test]
    fn a_roll_up_has_the_whole_candles_of_the_coarser_interval(
        (Steps { steps, base }, limits) in steps_and_limits(1..100), factor in 2..9_i64, reader in -3..3_i64,
    ) {
        let seconds = limits.seconds * factor;
        prop_assume!(86_400 % seconds == 0);
        // The coarser ring goes back as far as the base ring, and keeps every tick that the base ring accepts.
        let coarse_limits = OracleRules { seconds, candles: limits.candles + 80, ..limits };
        let (mut ring, mut coarse) = (limits.ring(), coarse_limits.ring());
        let mut highest = steps[0].now;
        for step in &steps {
            // `now` does not step back, so that no base candle is evicted that a reader sees.
            highest = highest.max(step.now);
            let lead = step.tick.time.as_micros() - step.now.as_micros();
            // The coarser interval distinguishes fewer sequence numbers.
            let seq = step.tick.seq.wrapping_sub(base) % 16;
            let tick = candle_core::Tick { time: highest.saturating_add(lead), seq, ..step.tick };
            if ring.record(&tick, &limits.rules().at(highest)).is_accepted() {
                prop_assert!(coarse.record(&tick, &coarse_limits.rules().at(highest)).is_accepted());
            }
        }
        let reader = highest.saturating_add(reader.max(0) * seconds * 1_000_000);
        for now in [highest, reader] {
            // A tick ahead of `now` is in no base candle yet, but may be in the forming coarse one.
            let is_ahead = |ring: &Ring| ring.stored().any(|candle| candle.last_time() >= limits.window().interval().close_time(now));
            if !is_ahead(&ring) {
                assert_rolled_up(&ring, &coarse, now, factor, limits);
            }
        }
    }
}

#[test]
fn only_multiples_of_the_interval_are_rolled_up() {
    let ring = OracleRules { seconds: 45, ..OracleRules::DEFAULT }.ring();
    let now = candle_core::Timestamp::EPOCH;
    let is_valid = |seconds| ring.rolled_up(Interval::seconds(seconds).unwrap(), now, Gaps::Filled).is_ok();
    assert_eq!([45, 90, 60, 15].map(is_valid), [true, true, false, false]);
}
