//! Parts that each recorded some of the ticks merge into the result of recording all of them.

use candle_core::{Aggregator, Candle, Config, Ring, SnapshotError};
use proptest::prelude::*;

use crate::oracle::{OracleRules, assert_same};
use crate::oracle_aggregator::top;
use crate::ticks::{Step, Steps, at, steps};

const LIMITS: OracleRules = OracleRules { ahead_micros: 60_000_000, ..OracleRules::DEFAULT };

/// Steps whose `now` does not step back, so that a tick too old for a part is too old for the whole.
fn forward(len: std::ops::Range<usize>) -> impl Strategy<Value = Steps> {
    steps(len).prop_map(|mut all| {
        let mut now = all.steps[0].now;
        for step in &mut all.steps {
            let lead = step.tick.time.as_micros() - step.now.as_micros();
            now = now.max(step.now);
            *step = Step { tick: candle_core::Tick { time: now.saturating_add(lead), ..step.tick }, now };
        }
        all
    })
}

/// [`forward`] steps with distinct sequence numbers.
fn forward_distinct(len: std::ops::Range<usize>) -> impl Strategy<Value = Steps> {
    forward(len).prop_map(|mut all| {
        for (number, step) in (0..).zip(&mut all.steps) {
            step.tick.seq = all.base.wrapping_add(number);
        }
        all
    })
}

fn ring<'s>(steps: impl IntoIterator<Item = &'s Step>) -> Ring {
    let mut ring = Ring::default();
    for step in steps {
        let _ = ring.record(&step.tick, &LIMITS.rules().at(step.now));
    }
    ring
}

fn merged(earlier: &Ring, later: &Ring) -> Ring {
    let mut merged = earlier.clone();
    merged.merge(later);
    merged
}

/// Merges neighbours in the order given by `picks` until one ring is left: a random tree over the parts.
fn merged_as_a_tree(mut parts: Vec<Ring>, picks: &[usize]) -> Ring {
    for pick in picks.iter().cycle() {
        if parts.len() == 1 {
            break;
        }
        let at = pick % (parts.len() - 1);
        let later = parts.remove(at + 1);
        parts[at].merge(&later);
    }
    parts.swap_remove(0)
}

proptest! {
    #[test]
    fn consecutive_parts_merge_into_the_whole_in_any_tree(
        Steps { steps, .. } in forward(1..100),
        mut cuts in prop::collection::vec(0..100_usize, 0..6), picks in prop::collection::vec(0..6_usize, 1..6),
    ) {
        // With equal keys: the left part counts as the earlier one.
        cuts.extend([0, steps.len()]);
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(steps.len()));
        cuts.sort_unstable();
        let parts = cuts.windows(2).map(|pair| ring(&steps[pair[0]..pair[1]])).collect();
        assert_same(&merged_as_a_tree(parts, &picks), &ring(&steps));
    }

    #[test]
    fn parts_with_any_of_the_ticks_merge_into_the_whole_in_any_order(
        Steps { steps, .. } in forward_distinct(1..100),
        owners in prop::collection::vec(0..5_usize, 100), picks in prop::collection::vec(0..5_usize, 1..6),
        order in Just(vec![0_usize, 1, 2, 3, 4]).prop_shuffle(),
    ) {
        let part = |owner: &usize| ring(steps.iter().zip(&owners).filter(|(_, of)| *of == owner).map(|(step, _)| step));
        assert_same(&merged_as_a_tree(order.iter().map(part).collect(), &picks), &ring(&steps));
    }

    #[test]
    fn merging_an_empty_ring_on_either_side_changes_nothing(Steps { steps, .. } in forward(1..40)) {
        let ring = ring(&steps);
        prop_assert_eq!(&merged(&ring, &Ring::default()), &ring);
        prop_assert_eq!(&merged(&Ring::default(), &ring), &ring);
    }

    #[test]
    fn merging_rings_of_one_instrument_is_associative(
        Steps { steps, .. } in forward(3..90), owners in prop::collection::vec(0..3_usize, 90),
    ) {
        let part = |owner| ring(steps.iter().zip(&owners).filter(|(_, of)| **of == owner).map(|(step, _)| step));
        let [a, b, c] = [part(0), part(1), part(2)];
        assert_same(&merged(&merged(&a, &b), &c), &merged(&a, &merged(&b, &c)));
    }

    #[test]
    fn merging_candles_is_associative_and_commutative_without_ties(
        Steps { steps, base } in forward(3..60), owners in prop::collection::vec(0..3_usize, 60), tie in any::<bool>(),
    ) {
        let candle = |owner: usize| -> Option<Candle> {
            let mut ring = Ring::default();
            for (number, (step, _)) in (0..).zip(&steps).zip(&owners).filter(|((_, _), of)| **of == owner)
                .map(|((number, step), of)| (number, (step, of))) {
                let offset = i64::from(step.tick.time.offset_in_minute());
                let seq = if tie { step.tick.seq } else { base.wrapping_add(number) };
                let tick = candle_core::Tick { time: at(offset), seq, ..step.tick };
                let _ = ring.record(&tick, &LIMITS.rules().at(at(0)));
            }
            ring.newest().copied()
        };
        if let (Some(a), Some(b), Some(c)) = (candle(0), candle(1), candle(2)) {
            let prices = |x: &Candle| ([x.open(), x.high(), x.low(), x.close()].map(f64::to_bits), x.count(), x.last_time());
            let (ab, bc) = (a.merged(&b).unwrap(), b.merged(&c).unwrap());
            prop_assert_eq!(prices(&ab.merged(&c).unwrap()), prices(&a.merged(&bc).unwrap()));
            if !tie {
                prop_assert_eq!(prices(&ab), prices(&b.merged(&a).unwrap()));
            }
        }
    }
}

const IDS: [&str; 5] = ["4", "10", "9", "é", "an-id-that-is-longer-than-an-inline-one"];

fn aggregator(seed: u64) -> Aggregator {
    let stripes = 1 << (seed % 5);
    Aggregator::new(Config::default().with_rules(LIMITS.rules()).with_seed(seed).with_stripes(stripes))
}

proptest! {
    #[test]
    fn aggregators_with_parts_of_the_ticks_merge_into_one_with_all(
        Steps { steps, .. } in forward_distinct(1..120),
        owners in prop::collection::vec((0..3_usize, 0..IDS.len(), any::<bool>()), 120),
        seeds in any::<[u64; 4]>(),
    ) {
        let whole = aggregator(seeds[3]);
        let parts = [0, 1, 2].map(|part| aggregator(seeds[part]));
        for (step, (owner, id, viewed)) in steps.iter().zip(owners) {
            for one in [&whole, &parts[owner]] {
                let context = candle_core::RecordContext { unlisted: candle_core::Unlisted::List, ..step.now.into() };
                let _ = one.record(IDS[id], &step.tick, context);
                if viewed && one.count_view(IDS[id]).is_none() {
                    one.list(IDS[id], Some("viewed")).unwrap();
                    one.count_view(IDS[id]).unwrap();
                }
            }
        }
        let all = aggregator(0);
        for part in &parts {
            part.snapshot().for_each(|stripe| all.merge(&stripe).unwrap());
        }
        prop_assert_eq!(all.len(), whole.len());
        for id in IDS {
            let (Some(all), Some(whole)) = (all.history(id), whole.history(id)) else {
                prop_assert_eq!(all.resolve(id).is_some(), whole.resolve(id).is_some());
                continue;
            };
            assert_same(&all.ring, &whole.ring);
            prop_assert_eq!(all.views, whole.views);
        }
        prop_assert_eq!(top(&all, 64), top(&whole, 64));
        let (all, whole) = (all.outcomes(), whole.outcomes());
        prop_assert_eq!((all.accepted(), all.rejected()), (whole.accepted(), whole.rejected()));
        prop_assert_eq!(all.received(), steps.len() as u64);
    }
}

#[test]
fn a_stripe_over_the_limit_is_not_merged_at_all() {
    let full = Aggregator::new(Config::default().with_max_instruments(2).with_stripes(1));
    full.list("a", None).unwrap();
    let other = Aggregator::new(Config::default().with_stripes(1));
    ["a", "b", "c"].into_iter().for_each(|id| assert!(other.list(id, None).is_ok()));
    other.count_view("a");
    let before: Vec<_> = full.snapshot().collect();
    let part = other.snapshot().next().unwrap();
    assert_eq!(full.merge(&part), Err(SnapshotError::Full { max_instruments: 2 }));
    assert_eq!(full.snapshot().collect::<Vec<_>>(), before);
}
