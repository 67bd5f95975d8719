//! Shares one aggregator between four threads that record ticks and one that reads.
//!
//!     cargo run --release --example embed

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use candle_core::{Aggregator, Gaps, ListError, Tick, Timestamp};

const FEEDS: usize = 4;
const INSTRUMENTS: usize = 1_000;
const TICKS: usize = 250_000;
const BATCH: usize = 500;

fn main() -> Result<(), ListError> {
    let aggregator = Aggregator::default();
    let ids: Vec<String> = (0..INSTRUMENTS).map(|number| number.to_string()).collect();
    for id in &ids {
        aggregator.list(id, None)?;
    }
    // The time is an argument. Here it is constant, and the ticks are of the last ten minutes.
    let now = Timestamp::EPOCH.saturating_add(86_400_000_000);
    let running = AtomicUsize::new(FEEDS);
    thread::scope(|scope| {
        for feed in 0..FEEDS {
            let (aggregator, ids, running) = (&aggregator, &ids, &running);
            scope.spawn(move || {
                feed_ticks(feed, aggregator, ids, now);
                running.fetch_sub(1, Ordering::Release);
            });
        }
        let mut reads = 0_u64;
        while running.load(Ordering::Acquire) > 0 {
            let history = aggregator.history_counting_view("7").expect("this program delists nothing");
            let window: Vec<_> = history.candles(now, Gaps::Filled).collect();
            assert!(window.iter().all(|candle| candle.low <= candle.close && candle.close <= candle.high));
            reads += 1;
        }
        println!("{reads} reads while {FEEDS} threads recorded ticks");
    });
    let outcomes = aggregator.outcomes();
    println!("{} received, {} accepted, {} rejected", outcomes.received(), outcomes.accepted(), outcomes.rejected());
    Ok(())
}

fn feed_ticks(feed: usize, aggregator: &Aggregator, ids: &[String], now: Timestamp) {
    let tick = |number: i64| {
        let price = f64::from(i32::try_from(number % 100).unwrap_or_default()) + 1.0;
        Tick::new(now.saturating_add(-number * 7_919 % 600_000_000), price).with_seq(number.unsigned_abs())
    };
    // Recording a batch is several times faster than recording its ticks one by one.
    let numbers: Vec<usize> = (feed..TICKS).step_by(FEEDS).collect();
    for chunk in numbers.chunks(BATCH) {
        let batch: Vec<_> = chunk
            .iter()
            .map(|number| (ids[number % ids.len()].as_str(), tick(i64::try_from(*number).unwrap_or(0))))
            .collect();
        let outcomes = aggregator.record_batch(&batch, now);
        assert_eq!(outcomes.rejected(), 0);
    }
}
