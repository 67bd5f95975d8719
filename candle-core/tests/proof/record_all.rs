//! A slice of one series has the result of its ticks one by one, and each candle leaves once.

use candle_core::{Candle, Outcomes, Ring, Tick, Timestamp};
use proptest::prelude::*;

use crate::oracle::OracleRules;
use crate::ticks::{Step, Steps, steps_and_limits};

/// Asserts that the candles that left and those that remain are all candles, in the order of time.
fn assert_all_once(left: &[Candle], ring: &Ring) {
    let all: Vec<_> = left.iter().copied().chain(ring.remaining()).map(|candle| candle.open_time()).collect();
    assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
}

/// Replays one by one: `now` is the time of the newest accepted tick, advanced before a tick is validated.
fn replayed_one_by_one(ticks: &[Tick], limits: OracleRules) -> (Ring, Outcomes) {
    let (mut ring, mut outcomes, mut now) = (limits.ring(), Outcomes::default(), Timestamp::MIN);
    for tick in ticks {
        let outcome = ring.record(tick, &limits.rules().at(now.max(tick.time)));
        if outcome.is_accepted() {
            now = now.max(tick.time);
        }
        outcomes.count(outcome);
    }
    (ring, outcomes)
}

proptest! {
    #[test]
    fn a_slice_has_the_result_of_its_ticks_one_by_one(
        (Steps { steps, .. }, limits) in steps_and_limits(1..120), cuts in prop::collection::vec(1..40_usize, 1..20),
    ) {
        let (mut slices, mut single) = (limits.ring(), limits.ring());
        let (mut left, mut rest) = (Vec::new(), &steps[..]);
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (slice, after) = rest.split_at(cut.min(rest.len()));
            rest = after;
            let validator = limits.rules().at(slice[0].now);
            let ticks: Vec<_> = slice.iter().map(|step: &Step| step.tick).collect();
            let outcomes = slices.record_all(&ticks, &validator, |candle| left.push(*candle));
            let mut expected = Outcomes::default();
            ticks.iter().for_each(|tick| expected.count(single.record(tick, &validator)));
            prop_assert_eq!(outcomes, expected);
            prop_assert_eq!(&slices, &single);
        }
        assert_all_once(&left, &slices);
    }

    #[test]
    fn a_replay_has_the_result_of_its_ticks_one_by_one(
        (Steps { steps, .. }, limits) in steps_and_limits(1..150), in_order in any::<bool>(), cut in 0..150_usize,
    ) {
        let mut ticks: Vec<_> = steps.iter().map(|step| step.tick).collect();
        if in_order {
            ticks.sort_by_key(|tick| tick.time);
        }
        let (expected, outcomes) = replayed_one_by_one(&ticks, limits);
        let (mut ring, mut left, mut counted) = (limits.ring(), Vec::new(), Outcomes::default());
        for part in [&ticks[..cut.min(ticks.len())], &ticks[cut.min(ticks.len())..]] {
            counted.merge(&ring.replay(part, &limits.rules(), |candle| left.push(*candle)));
        }
        prop_assert_eq!(counted, outcomes);
        prop_assert_eq!(&ring, &expected);
        assert_all_once(&left, &ring);
        let count = |candles: &mut dyn Iterator<Item = Candle>| candles.map(|candle| u64::from(candle.count())).sum::<u64>();
        prop_assert_eq!(count(&mut left.into_iter()) + count(&mut ring.remaining()), outcomes.accepted());
    }
}
