//! The time to count a view, and to find the ten most viewed instruments.

use std::hint::black_box;

use benches::common::{Feed, Skew, aggregator, settings};
use candle_core::Config;
use criterion::{Criterion, criterion_group, criterion_main};

fn popularity(c: &mut Criterion) {
    let mut group = c.benchmark_group("popularity");
    for (instruments, label) in [(50_000, "50k"), (1_000_000, "1M")] {
        let feed = Feed::new(instruments, Skew::Zipf, 8);
        let ours = aggregator(&feed, Config::DEFAULT_STRIPES);
        let mut ids = feed.quotes.iter().map(|(id, _)| *id).cycle();
        let mut next = || ids.next().expect("a cycle does not end");
        group.bench_function(format!("look-up/{label}"), |b| b.iter(|| black_box(ours.resolve(next()))));
        group.bench_function(format!("hit/{label}"), |b| b.iter(|| black_box(ours.count_view(next()))));
        let mut top = Vec::with_capacity(10);
        group.bench_function(format!("top ten/{label}"), |b| b.iter(|| ours.top_into(10, &mut top)));
    }
    group.finish();
}

criterion_group! { name = benches; config = settings(); targets = popularity }
criterion_main!(benches);
