//! Reads and views, without and with concurrent writers.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use benches::common::{
    Feed, Pairs, Skew, aggregator, by_handle, filled, handles, median, record_batches, record_by_handle,
};
use candle_core::{Aggregator, Config};

use crate::{BATCH, ROUNDS, at_most, note, one_by_one};

/// Measures the cost of a view in addition to its read, and the cost of concurrent readers and writers.
pub(crate) fn read() {
    let mut feed = Feed::new(50_000, Skew::Uniform, 7);
    let ours = filled(&feed);
    let mut pairs = Pairs::new(&["history", "view", "hit", "resolve"]);
    let some = &feed.quotes[..20_000];
    for _ in 0..3 * ROUNDS {
        pairs.round(|name| {
            Pairs::clock(some.len(), || match name {
                "history" => one_by_one(some, |id, _| drop(black_box(ours.history(id)))),
                "view" => one_by_one(some, |id, _| drop(black_box(ours.history_counting_view(id)))),
                "hit" => one_by_one(some, |id, _| _ = black_box(ours.count_view(id))),
                _ => one_by_one(some, |id, _| _ = black_box(ours.resolve(id))),
            })
        });
    }
    note(&format!("50 k uniform, full rings, ns per call: {}", pairs.times(&["history", "view", "hit", "resolve"])));
    note(&format!("a read that counts a view / a read: {:.2}", pairs.ratio("view", "history")));
    let hit = pairs.figure(["hit", "resolve"], |[hit, look_up]| hit - look_up);
    note(&format!("a hit on top of a look-up, ns: {hit:.1}"));
    under_writers(&mut feed, &ours);
}

/// Measures one thread that writes, while another one reads 100 k times per second or only waits.
fn under_writers(feed: &mut Feed, ours: &Aggregator) {
    const READ_INTERVAL: Duration = Duration::from_micros(10);
    const ROUND: Duration = Duration::from_millis(150);
    let handles = handles(ours, &feed.quotes);
    for (label, batched) in [("by handle", false), ("in batches", true)] {
        let mut latencies = Vec::new();
        let mut pairs = Pairs::new(&["alone", "read"]);
        for _ in 0..ROUNDS {
            feed.advance();
            let ticks = by_handle(&handles, &feed.quotes);
            pairs.round(|name| {
                let (done, passes) = (AtomicBool::new(false), AtomicU64::new(0));
                std::thread::scope(|scope| {
                    let writer = scope.spawn(|| {
                        let start = Instant::now();
                        while !done.load(Ordering::Relaxed) {
                            if batched {
                                record_batches(ours, &feed.quotes, BATCH);
                            } else {
                                record_by_handle(ours, &ticks);
                            }
                            passes.fetch_add(1, Ordering::Relaxed);
                        }
                        start.elapsed()
                    });
                    let start = Instant::now();
                    let mut next = start;
                    let mut quotes = feed.quotes.iter().cycle();
                    while next - start < ROUND {
                        while Instant::now() < next {
                            std::hint::spin_loop();
                        }
                        next += READ_INTERVAL;
                        let (id, _) = quotes.next().expect("a cycle does not end");
                        if name == "read" {
                            let read_start = Instant::now();
                            black_box(ours.history_counting_view(id));
                            latencies.push(read_start.elapsed().as_secs_f64() * 1e9);
                        }
                    }
                    done.store(true, Ordering::Relaxed);
                    let wrote = writer.join().expect("the writer does not panic");
                    wrote.as_secs_f64() / passes.load(Ordering::Relaxed) as f64
                })
            });
        }
        at_most(&format!("30 candles read under a writer {label}, ns, median"), median(latencies), 1000.0);
        at_most(&format!("a writer {label} with 100 k reads/s / without"), pairs.ratio("read", "alone"), 1.1);
    }
}

/// Measures the ten most viewed of 50 k and of 1 M instruments.
pub(crate) fn top() {
    let feeds = [Feed::new(50_000, Skew::Zipf, 8), Feed::new(1_000_000, Skew::Zipf, 8)];
    let ours = feeds.each_ref().map(|feed| aggregator(feed, Config::DEFAULT_STRIPES));
    for (ours, feed) in ours.iter().zip(&feeds) {
        one_by_one(&feed.quotes, |id, _| _ = black_box(ours.count_view(id)));
    }
    let mut pairs = Pairs::new(&["50k", "1M"]);
    let mut found = Vec::with_capacity(10);
    for _ in 0..3 * ROUNDS {
        pairs.round(|name| {
            let ours = &ours[usize::from(name == "1M")];
            Pairs::clock(100, || (0..100).for_each(|_| ours.top_into(10, &mut found)))
        });
    }
    note(&format!("top ten, ns: 50 k {:.0}, 1 M {:.0}", pairs.time("50k"), pairs.time("1M")));
    at_most("top ten at 1 M / at 50 k", pairs.ratio("1M", "50k"), 2.0);
}
