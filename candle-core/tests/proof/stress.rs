//! All kinds of calls at once: writers, readers, viewers, listings and snapshots in threads that start together.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use candle_core::{Aggregator, Config, Gaps, RecordContext, State, Tick, Timestamp, Unlisted};

use crate::oracle::{MINUTE, OracleRing, OracleRules};
use crate::oracle_aggregator::top;
use crate::ticks::at;

const STABLE: usize = 12;
const WRITERS: usize = 4;
const TICKS: usize = 4_000;

fn stable(number: usize) -> String {
    format!("stable-{number}")
}

/// Returns the ticks of one writer, with distinct sequence numbers, late by up to twenty minutes.
fn ticks(writer: usize) -> impl Iterator<Item = (String, Tick)> {
    (0..TICKS).filter(move |number| number % WRITERS == writer).map(|number| {
        let time = now().saturating_add(-((number * 7_919_003) as i64 % (20 * MINUTE)));
        (stable(number % STABLE), Tick { time, seq: number as u64, price: 1.0 + (number * 31 % 101) as f64, size: 0.5 })
    })
}

fn now() -> Timestamp {
    at(1_742_944_020_000_000)
}

fn read(aggregator: &Aggregator) {
    for number in 0..STABLE {
        let window: Vec<_> = aggregator.history(&stable(number)).unwrap().candles(now(), Gaps::Filled).collect();
        for pair in window.windows(2) {
            assert_eq!(pair[0].close_time, pair[1].open_time);
        }
        for candle in &window {
            assert!(candle.low <= candle.open && candle.open <= candle.high);
            assert!(candle.low <= candle.close && candle.close <= candle.high);
            assert_eq!(candle.filled, candle.count == 0);
            assert_eq!(candle.state == State::Forming, candle.open_time == now().minute().start());
            assert_eq!(candle.volume, 0.5 * f64::from(candle.count));
        }
    }
}

/// Records, views and delists instruments that exist for a short time. Returns the number of ticks.
fn churn(aggregator: &Aggregator) -> u64 {
    let context = RecordContext { unlisted: Unlisted::List, ..now().into() };
    for number in 0..2_000_u64 {
        let id = format!("passing-{}", number % 150);
        let _ = aggregator.record(&id, &Tick::new(now(), 1.0), context);
        aggregator.count_view(&id);
        if number % 3 == 0 {
            aggregator.delist(&id);
        }
    }
    2_000
}

/// Records the ticks of one writer, one by one and in batches. Returns the number of ticks.
fn write(aggregator: &Aggregator, ticks: &[(String, Tick)]) -> u64 {
    let batch: Vec<_> = ticks.iter().map(|(id, tick)| (id.as_str(), *tick)).collect();
    let mut rest = &batch[..];
    for len in [50, 3, 120, 16, 7, 64].into_iter().cycle() {
        let (chunk, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        match len {
            50 => chunk.iter().for_each(|(id, tick)| assert!(aggregator.record(id, tick, now()).is_accepted())),
            _ => assert_eq!(aggregator.record_batch(chunk, now()).rejected(), 0),
        }
        if rest.is_empty() {
            break;
        }
    }
    batch.len() as u64
}

#[test]
fn candles_views_and_outcomes_are_exact_after_all_kinds_of_calls_at_once() {
    let aggregator = Aggregator::new(Config::default().with_stripes(4));
    (0..STABLE).for_each(|number| assert!(aggregator.list(&stable(number), None).is_ok()));
    let (start, done) = (Barrier::new(WRITERS + 5), AtomicBool::new(false));
    let until_done = |work: &dyn Fn()| {
        start.wait();
        while !done.load(Ordering::Acquire) {
            work();
        }
    };
    let (writes, churned) = thread::scope(|scope| {
        scope.spawn(|| until_done(&|| read(&aggregator)));
        scope.spawn(|| until_done(&|| drop(top(&aggregator, 10))));
        scope.spawn(|| {
            until_done(&|| {
                let restored = Aggregator::restore(*aggregator.config(), aggregator.snapshot().collect()).unwrap();
                read(&restored);
            });
        });
        let churn = scope.spawn(|| {
            start.wait();
            churn(&aggregator)
        });
        scope.spawn(|| {
            start.wait();
            for number in 0..6_000 {
                assert!(aggregator.count_view(&stable(number % STABLE)).is_some());
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (aggregator, start) = (&aggregator, &start);
                scope.spawn(move || {
                    let ticks: Vec<_> = ticks(writer).collect();
                    start.wait();
                    write(aggregator, &ticks)
                })
            })
            .collect();
        let writes: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let churned = churn.join();
        // Before the results are unwrapped, so that the other threads end if one failed.
        done.store(true, Ordering::Release);
        (writes.into_iter().map(Result::unwrap).sum::<u64>(), churned.unwrap())
    });
    for number in 0..STABLE {
        let mut oracle = OracleRing::new(OracleRules::DEFAULT, 0);
        for (_, tick) in (0..WRITERS).flat_map(ticks).filter(|(id, _)| *id == stable(number)) {
            assert!(oracle.record(&tick, now()).is_accepted());
        }
        let history = aggregator.history(&stable(number)).unwrap();
        oracle.assert_is(&history.ring, now());
        assert_eq!(history.views, 500);
    }
    let outcomes = aggregator.outcomes();
    assert_eq!(outcomes.received(), writes + churned);
    assert_eq!(outcomes.received(), outcomes.accepted() + outcomes.rejected());
    let mut expected: Vec<_> = (0..STABLE).map(|number| (stable(number), 500)).collect();
    expected.sort();
    assert_eq!(top(&aggregator, STABLE), expected);
}
