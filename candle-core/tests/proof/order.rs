//! Candles do not depend on the order, the lateness or the repetition of ticks, nor on the number of threads.

use std::thread;

use candle_core::{Aggregator, Config, Gaps, Outcome, Ring, State, Tick, Timestamp};
use proptest::prelude::*;

use crate::oracle::{MINUTE, OracleRing, OracleRules, assert_close};
use crate::ticks::{Step, Steps, at, distinct, origin, steps_and_limits};

/// Records the steps in this order in the oracle.
fn oracle_of(limits: OracleRules, base: u64, steps: &[Step]) -> OracleRing {
    let mut oracle = OracleRing::new(limits, base);
    steps.iter().for_each(|step| {
        let _ = oracle.record(&step.tick, step.now);
    });
    oracle
}

fn ring_of(limits: OracleRules, steps: &[Step]) -> Ring {
    let mut ring = Ring::default();
    steps.iter().for_each(|step| {
        let _ = ring.record(&step.tick, &limits.rules().at(step.now));
    });
    ring
}

proptest! {
    #[test]
    fn any_ticks_at_any_now_give_the_candles_of_the_oracle(
        (Steps { base, steps }, limits) in steps_and_limits(1..120), reader in -45..45_i64,
    ) {
        let reader = reader * limits.seconds * 1_000_000 + reader;
        let (mut ring, mut oracle) = (limits.ring(), OracleRing::new(limits, base));
        for (number, step) in steps.iter().enumerate() {
            let outcome = ring.record(&step.tick, &limits.rules().at(step.now));
            prop_assert_eq!(outcome, oracle.record(&step.tick, step.now), "step {}: {:?}", number, step);
            if number % 16 == 0 {
                oracle.assert_is(&ring, step.now);
            }
        }
        let now = steps.last().unwrap().now;
        [now, now.saturating_add(reader)].into_iter().for_each(|now| oracle.assert_is(&ring, now));
    }

    #[test]
    fn the_order_of_arrival_changes_no_candle(
        (steps, shuffled) in distinct(1..80).prop_flat_map(|all| {
            let shuffled = Just(all.steps.clone()).prop_shuffle();
            (Just(all), shuffled)
        }),
    ) {
        let oracle = oracle_of(OracleRules::DEFAULT, steps.base, &steps.steps);
        oracle.assert_is(&ring_of(OracleRules::DEFAULT, &shuffled), steps.steps[0].now);
    }

    #[test]
    fn arrival_late_or_early_within_the_window_changes_no_price(
        steps in distinct(1..80), delays in prop::collection::vec(0..20 * MINUTE, 80),
    ) {
        // Each tick arrives after its own delay, so that ticks overtake each other.
        let limits = OracleRules { ahead_micros: 60_000_000, ..OracleRules::DEFAULT };
        let mut late: Vec<_> = steps.steps.iter().zip(delays).map(|(step, delay)| {
            Step { now: step.tick.time.saturating_add(delay), ..*step }
        }).collect();
        late.sort_by_key(|step| step.now);
        let now = late.last().unwrap().now;
        let (all, ring) = (oracle_of(limits, steps.base, &late), ring_of(limits, &late));
        all.assert_is(&ring, now);
        // All ticks were inside the window, so the prices are those of a punctual arrival.
        let punctual = ring_of(limits, &steps.steps);
        let prices = |ring: &Ring| ring.candles(now, Gaps::Filled).map(|c| (c.open_time, c.open, c.high, c.low, c.close, c.count))
            .collect::<Vec<_>>();
        prop_assert_eq!(prices(&ring), prices(&punctual));
    }

    #[test]
    fn delivering_ticks_again_changes_nothing_but_count_and_volume(
        (once, again) in distinct(1..60).prop_flat_map(|all| {
            let again = prop::collection::vec(prop::sample::select(all.steps.clone()), 0..60);
            (Just(all), again)
        }).prop_flat_map(|(all, again)| {
            let mut both = all.steps.clone();
            both.extend(again);
            (Just(all), Just(both).prop_shuffle())
        }),
    ) {
        let now = once.steps[0].now;
        let (ring, repeated) = (ring_of(OracleRules::DEFAULT, &once.steps), ring_of(OracleRules::DEFAULT, &again));
        let prices = |ring: &Ring| ring.candles(now, Gaps::Filled)
            .map(|c| (c.open_time, [c.open, c.high, c.low, c.close].map(f64::to_bits), c.state, c.filled)).collect::<Vec<_>>();
        prop_assert_eq!(prices(&ring), prices(&repeated));
        oracle_of(OracleRules::DEFAULT, once.base, &again).assert_is(&repeated, now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn one_to_eight_threads_give_the_candles_of_one(
        steps in distinct(1..200), threads in 1..=8_usize, stripes in 0..3_u32,
    ) {
        let aggregator = Aggregator::new(Config::default().with_stripes(1 << stripes));
        let ids = ["4", "BTC/USD", "an-id-that-is-longer-than-an-inline-one"];
        let handles = ids.map(|id| aggregator.list(id, None).unwrap());
        thread::scope(|scope| for number in 0..threads {
            let (aggregator, steps) = (&aggregator, &steps.steps);
            scope.spawn(move || for step in steps.iter().skip(number).step_by(threads) {
                let _ = aggregator.record(ids[0], &step.tick, step.now);
                let _ = aggregator.record_at(handles[1], &step.tick, step.now);
                let _ = aggregator.record_batch(&[(ids[2], step.tick)], step.now);
            });
        });
        let oracle = oracle_of(OracleRules::DEFAULT, steps.base, &steps.steps);
        for id in ids {
            oracle.assert_is(&aggregator.history(id).unwrap().ring, steps.steps[0].now);
        }
        let outcomes = aggregator.outcomes();
        prop_assert_eq!(outcomes.received(), 3 * steps.steps.len() as u64);
        prop_assert_eq!(outcomes.received(), outcomes.accepted() + outcomes.rejected());
    }

    #[test]
    fn volume_is_right_to_a_relative_billionth_in_any_order(
        (sizes, shuffled) in prop::collection::vec(0.0..1e15_f64, 1..300)
            .prop_flat_map(|sizes| (Just(sizes.clone()), Just(sizes).prop_shuffle())),
    ) {
        let volume = |sizes: &[f64]| {
            let mut ring = Ring::default();
            for (seq, size) in (0..).zip(sizes) {
                let tick = Tick::new(at(0), 1.0).with_seq(seq).with_size(*size);
                assert!(ring.record(&tick, &OracleRules::DEFAULT.rules().at(at(0))).is_accepted());
            }
            ring.newest().unwrap().volume()
        };
        assert_close(volume(&sizes), volume(&shuffled));
    }

    #[test]
    fn both_edges_of_the_window_are_exact_to_a_microsecond(origin in origin(), ahead in 0..=60_000_000_i64) {
        let now = origin.saturating_add(40 * MINUTE).saturating_add(-10 * MINUTE);
        let limits = OracleRules { ahead_micros: ahead, ..OracleRules::DEFAULT };
        let outcome = |time: Timestamp| Ring::default().record(&Tick::new(time, 1.0), &limits.rules().at(now));
        let first = now.minute().start().saturating_add(-29 * MINUTE);
        prop_assert!(outcome(first).is_accepted());
        prop_assert!(outcome(now.saturating_add(ahead)).is_accepted());
        if first > Timestamp::MIN {
            prop_assert_eq!(outcome(first.saturating_add(-1)), Outcome::TooOld);
        }
        if now.saturating_add(ahead) < Timestamp::MAX {
            prop_assert_eq!(outcome(now.saturating_add(ahead + 1)), Outcome::TooFarAhead);
        }
    }
}

#[test]
fn the_last_microsecond_of_a_minute_and_the_first_of_the_next_are_in_different_candles() {
    for start in [at(-MINUTE), at(0), at(1_742_944_020_000_000)] {
        let mut ring = Ring::default();
        for (time, price) in [(start, 1.0), (start.saturating_add(-1), 2.0)] {
            let _ = ring.record(&Tick::new(time, price), &OracleRules::DEFAULT.rules().at(start));
        }
        let seen: Vec<_> = ring.candles(start, Gaps::Filled).map(|c| (c.open_time, c.close, c.state)).collect();
        let before = start.saturating_add(-MINUTE);
        assert_eq!(seen, [(before, 2.0, State::Revised), (start, 1.0, State::Forming)]);
    }
}

#[test]
fn sequence_numbers_may_wrap_at_the_largest() {
    let mut ring = Ring::default();
    for (seq, price) in [(0, 3.0), (u64::MAX, 2.0), (1, 4.0), (u64::MAX - 1, 1.0)] {
        let _ = ring.record(&Tick::new(at(7), price).with_seq(seq), &OracleRules::DEFAULT.rules().at(at(7)));
    }
    let candle = ring.newest().unwrap();
    assert_eq!((candle.open(), candle.close()), (1.0, 4.0));
}

#[test]
fn sequence_numbers_of_one_microsecond_are_ordered_up_to_the_limit_of_the_interval() {
    for (seconds, bits) in [(1, 37), (60, 37), (64, 26), (3_600, 26), (4_320, 21), (86_400, 21)] {
        let limits = OracleRules { seconds, ..OracleRules::DEFAULT };
        for base in [0, 1 << 20, u64::MAX] {
            let mut ring = limits.ring();
            for (step, price) in [((1_u64 << bits) - 1, 3.0), (0, 1.0), (1 << (bits - 1), 2.0)] {
                let tick = Tick::new(at(0), price).with_seq(base.wrapping_add(step));
                assert!(ring.record(&tick, &limits.rules().at(at(0))).is_accepted());
            }
            let candle = ring.newest().unwrap();
            assert_eq!((candle.open(), candle.close()), (1.0, 3.0), "{seconds} s from {base}");
        }
    }
}
