//! A batch has the result of its ticks recorded one by one.

use std::sync::Barrier;

use candle_core::{
    Aggregator, Config, Handle, Outcome, Outcomes, RecordContext, StripeSnapshot, Tick, Timestamp, Unlisted,
};
use proptest::prelude::*;

use crate::oracle::OracleRules;
use crate::oracle_aggregator::OracleAggregator;
use crate::ticks::{Steps, at, steps};

const IDS: [&str; 10] =
    ["0", "1", "10", "9", "BTC/USD", "QV532Y814406", "an-id-that-is-longer-than-an-inline-one", "a ", "a b", ""];

fn unlisted() -> impl Strategy<Value = Unlisted> {
    prop_oneof![Just(Unlisted::List), Just(Unlisted::Reject)]
}

fn aggregator(stripes: usize, max_instruments: usize) -> Aggregator {
    let aggregator = Aggregator::new(
        Config::default().with_stripes(stripes).with_max_instruments(max_instruments).with_seed(stripes as u64),
    );
    aggregator.list("9", Some("listed before")).unwrap();
    aggregator
}

fn one_by_one(aggregator: &Aggregator, batch: &[(&str, Tick)], context: RecordContext) -> Outcomes {
    let mut outcomes = Outcomes::default();
    for (position, (id, tick)) in (0..).zip(batch) {
        let lsn = if context.lsn == 0 { 0 } else { context.lsn + position };
        outcomes.count(aggregator.record(id, tick, RecordContext { lsn, ..context }));
    }
    outcomes
}

fn snapshot_of(aggregator: &Aggregator) -> Vec<StripeSnapshot> {
    aggregator.snapshot().collect()
}

/// Returns the ids of a batch: single ticks of different instruments, and runs of one instrument.
fn picks(len: usize) -> impl Strategy<Value = Vec<usize>> {
    let run = prop_oneof![4 => 1..4_usize, 1 => 1..60_usize];
    prop::collection::vec((0..IDS.len(), run), len).prop_map(move |runs| {
        let picks = runs.into_iter().flat_map(|(id, run)| std::iter::repeat_n(id, run));
        picks.take(len).collect()
    })
}

/// Returns the ticks of one thread: accepted ones of the instruments of `ids`, with equal times and sequence numbers among
/// them, so that the order of arrival decides.
fn accepted(ids: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(&'static str, Tick)>> {
    let tick = (0..3_i64, 0..2_u64, 1..9_i32)
        .prop_map(|(millis, seq, price)| Tick::new(at(millis * 1_000), f64::from(price)).with_seq(seq).with_size(1.0));
    prop::collection::vec((ids.prop_map(|id| IDS[id]), tick), 1..200)
}

proptest! {
    #[test]
    fn a_batch_has_the_result_of_its_ticks_one_by_one(
        Steps { steps, .. } in steps(1..150), picks in picks(150),
        stripes in prop::sample::select(vec![1_usize, 2, 64, 256]), max in 1..9_usize, unlisted in unlisted(),
        lsn in 0..2_u64,
    ) {
        let context = RecordContext { unlisted, lsn, ..RecordContext::from(steps[0].now) };
        let batch: Vec<_> = steps.iter().zip(&picks).map(|(step, pick)| (IDS[*pick], step.tick)).collect();
        let (batched, single) = (aggregator(stripes, max), aggregator(stripes, max));
        prop_assert_eq!(batched.record_batch(&batch, context), one_by_one(&single, &batch, context));
        prop_assert_eq!(snapshot_of(&batched), snapshot_of(&single));

        let mut oracle = OracleAggregator::new(OracleRules::DEFAULT, max);
        oracle.list("9", Some("listed before"));
        for (id, tick) in &batch {
            let _ = oracle.record(id, tick, context.now, unlisted);
        }
        // Sequence numbers start at 0 in the oracle, so a wrap is compared only above.
        if batch.iter().all(|(_, tick)| tick.seq < 1 << 37) {
            oracle.assert_is(&batched, context.now);
        }
    }

    #[test]
    fn a_batch_by_handles_has_the_result_of_its_ticks_one_by_one_also_after_instruments_were_delisted(
        Steps { steps, .. } in steps(1..150), picks in picks(150),
        stripes in prop::sample::select(vec![1_usize, 2, 64, 256]), delisted in 0..4_usize, lsn in 0..2_u64,
    ) {
        let context = RecordContext { lsn, ..RecordContext::from(steps[0].now) };
        let listed = || {
            let aggregator = aggregator(stripes, 100);
            let handles: Vec<_> = IDS[..7].iter().map(|id| aggregator.list(id, None).unwrap()).collect();
            IDS[..delisted].iter().for_each(|id| assert!(aggregator.delist(id)));
            aggregator.list("in-a-slot-of-before", None).unwrap();
            (aggregator, handles)
        };
        let ((batched, handles), (single, _)) = (listed(), listed());
        let batch: Vec<_> = steps.iter().zip(&picks).map(|(step, pick)| (handles[pick % 7], step.tick)).collect();
        let mut outcomes = Outcomes::default();
        for (position, (handle, tick)) in (0..).zip(&batch) {
            let lsn = if lsn == 0 { 0 } else { lsn + position };
            outcomes.count(single.record_at(*handle, tick, RecordContext { lsn, ..context }));
        }
        prop_assert_eq!(batched.record_batch_at(&batch, context), outcomes);
        prop_assert_eq!(snapshot_of(&batched), snapshot_of(&single));
    }

    #[test]
    fn concurrent_batches_of_different_instruments_have_the_results_of_their_ticks_one_by_one(
        mine in accepted(0..4), theirs in accepted(4..7), stripes in prop::sample::select(vec![1_usize, 2, 4, 64]),
        len in 2..40_usize,
    ) {
        let [batched, single] = [(); 2].map(|()| {
            let aggregator = aggregator(stripes, 100);
            IDS[..7].iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
            aggregator
        });
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            for ticks in [&mine, &theirs] {
                scope.spawn(|| {
                    start.wait();
                    for batch in ticks.chunks(len) {
                        assert_eq!(batched.record_batch(batch, at(0)).accepted(), batch.len() as u64);
                    }
                });
            }
        });
        one_by_one(&single, &mine, at(0).into());
        one_by_one(&single, &theirs, at(0).into());
        prop_assert_eq!(snapshot_of(&batched), snapshot_of(&single));
    }
}

#[test]
fn batches_longer_than_a_block_have_the_result_of_their_ticks_one_by_one() {
    let ids: Vec<String> = (0..700).map(|number| format!("instrument {number}").replace(' ', "-")).collect();
    let tick =
        |position: usize| Tick { time: at(0), seq: position as u64, price: 1.0 + (position % 97) as f64, size: 0.25 };
    for len in [7, 8, 255, 256, 257, 2047, 2048, 2049, 5000] {
        let batch: Vec<_> =
            (0..len).map(|position| (ids[position * 31 % ids.len()].as_str(), tick(position))).collect();
        for (unlisted, max) in [(Unlisted::List, 700), (Unlisted::List, 300), (Unlisted::Reject, 700)] {
            let context = RecordContext { unlisted, lsn: 1, ..RecordContext::from(Timestamp::EPOCH) };
            let (batched, single) = (aggregator(16, max), aggregator(16, max));
            assert_eq!(batched.record_batch(&batch, context), one_by_one(&single, &batch, context));
            // A second time, after most instruments were listed.
            assert_eq!(batched.record_batch(&batch, context), one_by_one(&single, &batch, context));
            assert_eq!(snapshot_of(&batched), snapshot_of(&single));
            assert_eq!(batched.outcomes().received(), 2 * len as u64);
        }
    }
}

#[test]
fn a_batch_by_handles_has_the_result_of_its_ticks_one_by_one() {
    let ids: Vec<String> = (0..300).map(|number| format!("i{number}")).collect();
    for stripes in [1, 16, 64] {
        let [batched, single] = [(); 2].map(|()| aggregator(stripes, 400));
        let handles: Vec<Handle> = ids.iter().map(|id| batched.list(id, None).unwrap()).collect();
        let same: Vec<Handle> = ids.iter().map(|id| single.list(id, None).unwrap()).collect();
        assert_eq!(handles, same);
        // Some instruments are delisted, and others have their slots.
        for aggregator in [&batched, &single] {
            ids.iter().step_by(7).for_each(|id| assert!(aggregator.delist(id)));
            (0..20).for_each(|number| assert!(aggregator.list(&format!("new{number}"), None).is_ok()));
        }
        let price = |position: usize| if position % 50 == 49 { -1.0 } else { 1.0 + (position % 97) as f64 };
        for len in [1, 4, 5, 100, 3000] {
            let batch: Vec<_> = (0..len)
                .map(|position| {
                    (handles[position * 31 % ids.len()], Tick::new(at(0), price(position)).with_seq(position as u64))
                })
                .collect();
            // A batch by handles lists no instrument, also with `Unlisted::List`.
            let context = RecordContext { unlisted: Unlisted::List, lsn: 1, ..RecordContext::from(Timestamp::EPOCH) };
            let mut outcomes = Outcomes::default();
            for (position, (handle, tick)) in (1..).zip(&batch) {
                outcomes.count(single.record_at(*handle, tick, RecordContext { lsn: position, ..context }));
            }
            assert_eq!(batched.record_batch_at(&batch, context), outcomes);
            assert_eq!(snapshot_of(&batched), snapshot_of(&single));
        }
    }
}

#[test]
fn the_handle_of_another_aggregator_finds_the_same_in_a_batch_and_alone() {
    let foreign: Vec<Handle> = {
        let other = Aggregator::new(Config::default().with_stripes(64).with_seed(7));
        (0..100).map(|number| other.list(&format!("i{number}"), None).unwrap()).collect()
    };
    let [batched, single] = [(); 2].map(|()| aggregator(4, 100));
    for aggregator in [&batched, &single] {
        (0..40).for_each(|number| assert!(aggregator.list(&format!("mine{number}"), None).is_ok()));
    }
    let batch: Vec<_> = foreign.iter().map(|handle| (*handle, Tick::new(at(0), 1.0))).collect();
    let mut outcomes = Outcomes::default();
    for (handle, tick) in &batch {
        outcomes.count(single.record_at(*handle, tick, at(0)));
    }
    assert_eq!(batched.record_batch_at(&batch, at(0)), outcomes);
    assert_eq!(snapshot_of(&batched), snapshot_of(&single));
}

#[test]
fn a_batch_does_not_find_a_delisted_instrument_in_its_old_slot() {
    let aggregator = Aggregator::new(Config::default().with_stripes(1));
    aggregator.list("gone", None).unwrap();
    aggregator.delist("gone");
    let outcomes = aggregator.record_batch(&[("gone", Tick::new(at(0), 1.0)); 3], at(0));
    assert_eq!((outcomes.received(), outcomes.of(Outcome::UnknownInstrument)), (3, 3));
}
