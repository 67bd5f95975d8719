//! A snapshot taken while writers run and the log after it are together exact.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use candle_core::{Aggregator, Config, RecordContext, SnapshotError, StripeSnapshot, Tick, Timestamp, Unlisted};
use proptest::prelude::*;

use crate::oracle::MINUTE;
use crate::oracle_aggregator::top;
use crate::ticks::{Steps, at, steps};

pub(crate) const IDS: [&str; 8] =
    ["4", "10", "9", "é", "BTC/USD", "QV532Y814406", "z", "an-id-that-is-longer-than-an-inline-one"];

/// A log entry. Its position in the log is its lsn.
#[derive(Clone, Debug)]
enum LogEntry {
    Tick(usize, Tick, Timestamp),
    Batch(Vec<(usize, Tick)>, Timestamp),
    List(usize),
    Delist(usize),
    AddView(usize),
    ClearCandles,
}

fn entry() -> impl Strategy<Value = LogEntry> {
    let tick = || {
        let offset = -31 * MINUTE..6_000_000;
        (0..IDS.len(), offset, 0..5_u64, 1.0..9.0_f64, 0.0..1.0_f64)
            .prop_map(|(id, offset, seq, price, size)| (id, Tick { time: at(offset), seq, price, size }))
    };
    let now = |minute: i64| at(minute * MINUTE);
    prop_oneof![
        6 => (tick(), 0..3_i64).prop_map(move |((id, tick), minute)| LogEntry::Tick(id, tick, now(minute))),
        2 => (prop::collection::vec(tick(), 0..40), 0..3_i64).prop_map(move |(ticks, m)| LogEntry::Batch(ticks, now(m))),
        1 => (0..IDS.len()).prop_map(LogEntry::List),
        1 => (0..IDS.len()).prop_map(LogEntry::Delist),
        3 => (0..IDS.len()).prop_map(LogEntry::AddView),
        1 => Just(LogEntry::ClearCandles),
    ]
}

/// Assigns an lsn to each entry. A batch has one for each tick.
fn log(entries: Vec<LogEntry>) -> Vec<(u64, LogEntry)> {
    let mut next = 1;
    let mut log = Vec::new();
    for entry in entries {
        let numbers = if let LogEntry::Batch(ticks, _) = &entry { ticks.len() as u64 } else { 1 };
        log.push((next, entry));
        next += numbers;
    }
    log
}

fn context(now: Timestamp, lsn: u64) -> RecordContext {
    RecordContext { lsn, unlisted: Unlisted::List, ..now.into() }
}

fn write(aggregator: &Aggregator, lsn: u64, entry: &LogEntry) {
    match entry {
        LogEntry::Tick(id, tick, now) => _ = aggregator.record(IDS[*id], tick, context(*now, lsn)),
        LogEntry::Batch(ticks, now) => {
            let batch: Vec<_> = ticks.iter().map(|(id, tick)| (IDS[*id], *tick)).collect();
            let _ = aggregator.record_batch(&batch, context(*now, lsn));
        }
        LogEntry::List(id) => _ = aggregator.at_lsn(lsn).list(IDS[*id], Some("listed")),
        LogEntry::Delist(id) => _ = aggregator.at_lsn(lsn).delist(IDS[*id]),
        LogEntry::AddView(id) => aggregator.at_lsn(lsn).add_views(IDS[*id], 1),
        LogEntry::ClearCandles => aggregator.at_lsn(lsn).clear_candles(),
    }
}

/// Applies the entries that the snapshot does not include.
fn replay(aggregator: &Aggregator, log: &[(u64, LogEntry)]) {
    for (lsn, entry) in log {
        let is_new = |id: usize, lsn: u64| lsn > aggregator.lsn_of(IDS[id]);
        match entry {
            LogEntry::Batch(ticks, now) => {
                for (lsn, (id, tick)) in (*lsn..).zip(ticks) {
                    if is_new(*id, lsn) {
                        write(aggregator, lsn, &LogEntry::Tick(*id, *tick, *now));
                    }
                }
            }
            LogEntry::Tick(id, ..) | LogEntry::List(id) | LogEntry::Delist(id) | LogEntry::AddView(id) => {
                if is_new(*id, *lsn) {
                    write(aggregator, *lsn, entry);
                }
            }
            LogEntry::ClearCandles => write(aggregator, *lsn, entry),
        }
    }
}

fn snapshot_of(aggregator: &Aggregator) -> Vec<StripeSnapshot> {
    aggregator.snapshot().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_snapshot_taken_while_writers_run_and_the_log_after_it_are_exact(
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
                    taken.push(snapshot_of(&written));
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
            // Volumes are equal bit for bit, because the ticks of each instrument have the same order.
            prop_assert_eq!(snapshot_of(&restored), snapshot_of(&written));
            prop_assert_eq!(top(&restored, 10), top(&written, 10));
        }
    }

    #[test]
    fn a_snapshot_with_writes_between_any_two_stripes_and_the_log_after_it_are_exact(
        entries in prop::collection::vec(entry(), 1..120), stripes in 0..4_u32, cuts in prop::collection::vec(0..120_usize, 8),
    ) {
        // The test chooses the number of writes between one stripe and the next.
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
        prop_assert_eq!(snapshot_of(&restored), snapshot_of(&written));
    }

    #[test]
    fn a_restored_aggregator_is_equal_to_the_original(Steps { steps, .. } in steps(1..120), picks in prop::collection::vec((0..IDS.len(), 0..3_usize), 120)) {
        let aggregator = filled(&steps.iter().map(|step| (step.tick, step.now)).collect::<Vec<_>>(), &picks);
        let restored = Aggregator::restore(*aggregator.config(), snapshot_of(&aggregator)).unwrap();
        prop_assert_eq!(snapshot_of(&restored), snapshot_of(&aggregator));
        prop_assert_eq!(restored.page(None, "", 100), aggregator.page(None, "", 100));
        prop_assert_eq!(top(&restored, 64), top(&aggregator, 64));
        prop_assert_eq!(restored.outcomes(), aggregator.outcomes());
    }
}

/// Returns an aggregator with these ticks, each of a picked instrument, with a picked number of views.
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
fn stripes_that_are_not_those_of_one_aggregator_are_typed_errors() {
    let config = Config::default().with_stripes(4).with_seed(1);
    let aggregator = Aggregator::new(config);
    IDS.into_iter().for_each(|id| assert!(aggregator.list(id, None).is_ok()));
    let parts = snapshot_of(&aggregator);
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
