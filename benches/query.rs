//! The time to read 30 candles, without and with a concurrent writer.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use benches::common::{Feed, Skew, filled, record_batches, settings};
use candle_core::Gaps;
use criterion::{Criterion, criterion_group, criterion_main};

fn query(c: &mut Criterion) {
    let feed = Feed::new(50_000, Skew::Uniform, 7);
    let ours = filled(&feed);
    let now = Feed::now(&feed.quotes);
    let mut ids = feed.quotes.iter().map(|(id, _)| *id).cycle();
    let mut next = || ids.next().expect("a cycle does not end");
    let mut group = c.benchmark_group("query");
    group.bench_function("history", |b| b.iter(|| black_box(ours.history(next()))));
    group.bench_function("view", |b| b.iter(|| black_box(ours.history_counting_view(next()))));
    group.bench_function("view and walk its window", |b| {
        b.iter(|| {
            let history = ours.history_counting_view(next()).expect("listed");
            history.candles(now, Gaps::Filled).map(|candle| candle.close).sum::<f64>()
        });
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                record_batches(&ours, &feed.quotes, 4096);
            }
        });
        group.bench_function("view under a writer", |b| b.iter(|| black_box(ours.history_counting_view(next()))));
        done.store(true, Ordering::Relaxed);
    });
    group.finish();
}

criterion_group! { name = benches; config = settings(); targets = query }
criterion_main!(benches);
