//! A snapshot taken while writers run, and the log replayed from its lsns, are together exact.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use candle_core::{Aggregator, Config, RecordContext, SnapshotError, StripeSnapshot, Tick, Timestamp, Unlisted};
use proptest::prelude::*;

use crate::inputs::{Steps, at, steps};
use crate::oracle::{MINUTE, top};

pub(crate) const IDS: [&str; 8] =
    ["4", "10", "9", "é", "BTC/USD", "QV532Y814406", "z", "an-id-that-is-longer-than-an-inline-one"];

/// One entry of a log, which has its position there as its lsn.
#[derive(Clone, Debug)]
enum Entry {
    Tick(usize, Tick, Timestamp),
    Batch(Vec<(usize, Tick)>, Timestamp),
    List(usize),
    Delist(usize),
    Hit(usize),
    ClearCandles,
}

fn entry() -> impl Strategy<Value = Entry> {
    let tick = || {
        let offset = -31 * MINUTE..6_000_000;
        (0..IDS.len(), offset, 0..5_u64, 1.0..9.0_f64, 0.0..1.0_f64)
            .prop_map(|(id, offset, seq, price, size)| (id, Tick { time: at(offset), seq, price, size }))
    };
    let now = |minute: i64| at(minute * MINUTE);
    prop_oneof![
        6 => (tick(), 0..3_i64).prop_map(move |((id, tick), minute)| Entry::Tick(id, tick, now(minute))),
        2 => (prop::collection::vec(tick(), 0..40), 0..3_i64).prop_map(move |(ticks, m)| Entry::Batch(ticks, now(m))),
        1 => (0..IDS.len()).prop_map(Entry::List),
        1 => (0..IDS.len()).prop_map(Entry::Delist),
        3 => (0..IDS.len()).prop_map(Entry::Hit),
        1 => Just(Entry::ClearCandles),
    ]
}

/// The entries with their positions: a batch takes as many as it has ticks.
fn log(entries: Vec<Entry>) -> Vec<(u64, Entry)> {
    let mut next = 1;
    let mut log = Vec::new();
    for entry in entries {
        let places = if let Entry::Batch(ticks, _) = &entry { ticks.len() as u64 } else { 1 };
        log.push((next, entry));
        next += places;
    }
    log
}

fn context(now: Timestamp, lsn: u64) -> RecordContext {
    RecordContext { lsn, unlisted: Unlisted::List, ..now.into() }
}

fn write(aggregator: &Aggregator, lsn: u64, entry: &Entry) {
    match entry {
        Entry::Tick(id, tick, now) => _ = aggregator.record(IDS[*id], tick, context(*now, lsn)),
        Entry::Batch(ticks, now) => {
            let batch: Vec<_> = ticks.iter().map(|(id, tick)| (IDS[*id], *tick)).collect();
            let _ = aggregator.record_batch(&batch, context(*now, lsn));
        }
        Entry::List(id) => _ = aggregator.list_logged(IDS[*id], Some("listed"), lsn),
        Entry::Delist(id) => _ = aggregator.delist_logged(IDS[*id], lsn),
        Entry::Hit(id) => _ = aggregator.count_view_logged(IDS[*id], lsn),
        Entry::ClearCandles => aggregator.clear_candles(lsn),
    }
}

/// Writes again what the snapshot does not hold yet.
fn replay(aggregator: &Aggregator, log: &[(u64, Entry)]) {
    for (lsn, entry) in log {
        let is_new = |id: usize, lsn: u64| lsn > aggregator.lsn_of(IDS[id]);
        match entry {
            Entry::Batch(ticks, now) => {
                for (lsn, (id, tick)) in (*lsn..).zip(ticks) {
                    if is_new(*id, lsn) {
                        write(aggregator, lsn, &Entry::Tick(*id, *tick, *now));
                    }
                }
            }
            Entry::Tick(id, ..) | Entry::List(id) | Entry::Delist(id) | Entry::Hit(id) => {
                if is_new(*id, *lsn) {
                    write(aggregator, *lsn, entry);
                }
            }
            Entry::ClearCandles => write(aggregator, *lsn, entry),
        }
    }
}

fn parts(aggregator: &Aggregator) -> Vec<StripeSnapshot> {
    aggregator.snapshot().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_snapshot_taken_while_writers_run_and_the_log_from_its_marks_are_exact(
        entries in prop::collection::vec(entry(), 1..250), stripes in 0..4_u32,
    ) {
        let log = log(entries);
        let config = Config::default().with_stripes(1 << stripes);
        let written = Aggregator::new(config);
        let done = AtomicBool::new(false);
        let snapshots = thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let mut taken = Vec::new();
                while !done.load(Ordering::Acquire) {
                    taken.push(parts(&written));
                }
                taken
            });
            log.iter().for_each(|(lsn, entry)| write(&written, *lsn, entry));
            done.store(true, Ordering::Release);
            taker.join().unwrap()
        });
        let step = 1 + snapshots.len() / 12;
        for snapshot in snapshots.into_iter().step_by(step) {
            let restored = Aggregator::restore(config, snapshot).unwrap();
            replay(&restored, &log);
            // Bit for bit, volumes too: each instrument's ticks came in the same order.
            prop_assert_eq!(parts(&restored), parts(&written));
            prop_assert_eq!(top(&restored, 10), top(&written, 10));
        }
    }

    #[test]
    fn a_snapshot_between_any_two_stripes_and_the_log_from_its_marks_are_exact(
        entries in prop::collection::vec(entry(), 1..120), stripes in 0..4_u32, cuts in prop::collection::vec(0..120_usize, 8),
    ) {
        // The same with the writer's progress between one stripe and the next chosen by the test.
        let log = log(entries);
        let config = Config::default().with_stripes(1 << stripes);
        let written = Aggregator::new(config);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(log.len())).collect();
        cuts.sort_unstable();
        let (mut taken, mut at, mut snapshot) = (Vec::new(), 0, written.snapshot());
        for cut in cuts {
            log[at..cut].iter().for_each(|(lsn, entry)| write(&written, *lsn, entry));
            at = cut;
            taken.extend(snapshot.next());
        }
        drop(snapshot);
        log[at..].iter().for_each(|(lsn, entry)| write(&written, *lsn, entry));
        let restored = Aggregator::restore(config, taken).unwrap();
        replay(&restored, &log);
        prop_assert_eq!(parts(&restored), parts(&written));
    }

    #[test]
    fn what_is_taken_out_and_put_back_is_the_same(Steps { steps, .. } in steps(1..120), picks in prop::collection::vec((0..IDS.len(), 0..3_usize), 120)) {
        let aggregator = filled(&steps.iter().map(|step| (step.tick, step.now)).collect::<Vec<_>>(), &picks);
        let restored = Aggregator::restore(*aggregator.config(), parts(&aggregator)).unwrap();
        prop_assert_eq!(parts(&restored), parts(&aggregator));
        prop_assert_eq!(restored.page(None, "", 100), aggregator.page(None, "", 100));
        prop_assert_eq!(top(&restored, 64), top(&aggregator, 64));
        prop_assert_eq!(restored.outcomes(), aggregator.outcomes());
    }
}

/// An aggregator with these ticks, each of a picked instrument, with a picked number of views.
pub(crate) fn filled(ticks: &[(Tick, Timestamp)], picks: &[(usize, usize)]) -> Aggregator {
    let aggregator = Aggregator::new(Config::default().with_stripes(4));
    for ((tick, now), (id, views)) in ticks.iter().zip(picks) {
        let _ = aggregator.record(IDS[*id], tick, context(*now, 7));
        for _ in 0..*views {
            let _ = aggregator.count_view(IDS[*id]);
        }
        if *views == 1 {
            let _ = aggregator.list(IDS[*id], Some("described"));
        }
    }
    aggregator
}

#[test]
fn parts_that_are_not_those_of_one_aggregator_are_typed_errors() {
    let config = Config::default().with_stripes(4).with_seed(1);
    let aggregator = Aggregator::new(config);
    IDS.into_iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
    let parts = parts(&aggregator);
    let restored = |parts: &[StripeSnapshot]| Aggregator::restore(config, parts.to_vec()).map(|all| all.len());
    assert_eq!(restored(&parts), Ok(IDS.len()));
    let reversed: Vec<_> = parts.iter().rev().cloned().collect();
    assert_eq!(restored(&reversed), Ok(IDS.len()));
    assert_eq!(restored(&[]), Err(SnapshotError::Missing { stripe: 0 }));
    assert_eq!(restored(&parts[1..]), Err(SnapshotError::Missing { stripe: 0 }));
    assert_eq!(restored(&parts[..3]), Err(SnapshotError::Missing { stripe: 3 }));
    let twice: Vec<_> = parts.iter().chain(&parts[2..3]).cloned().collect();
    assert_eq!(restored(&twice), Err(SnapshotError::Repeated { stripe: 2 }));
    for other in [config.with_seed(2), config.with_stripes(8)] {
        let mut mixed = parts.clone();
        mixed[1] = Aggregator::new(other).snapshot().nth(1).unwrap();
        assert_eq!(restored(&mixed), Err(SnapshotError::Mixed));
    }
    let small = Aggregator::restore(config.with_max_instruments(3), parts);
    assert_eq!(small.map(|all| all.len()), Err(SnapshotError::Full { max_instruments: 3 }));
}
