//! The time of simultaneous passes by number of threads, number of stripes and skew.

use std::time::Duration;

use benches::common::{Feed, PASS, Skew, aggregator, at_once, record_batches, record_by_id, settings};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn contention(c: &mut Criterion) {
    let mut group = c.benchmark_group("contention");
    for skew in [Skew::Uniform, Skew::Zipf] {
        let mut feeds = [Feed::new(50_000, skew, 4), Feed::new(50_000, skew, 5)];
        for stripes in [1, 16, 64, 256, 1024] {
            let ours = aggregator(&feeds[0], stripes);
            for threads in [1, 2] {
                group.throughput(Throughput::Elements((threads * PASS) as u64));
                for (how, batched) in [("by id", false), ("batches of 4096", true)] {
                    group.bench_function(format!("{skew:?}/{stripes} stripes/{threads} threads/{how}"), |b| {
                        b.iter_custom(|passes| {
                            let mut pass = |_| {
                                feeds.iter_mut().for_each(Feed::advance);
                                at_once(threads, |thread| {
                                    let quotes = &feeds[thread].quotes;
                                    if batched {
                                        record_batches(&ours, quotes, 4096);
                                    } else {
                                        record_by_id(&ours, quotes);
                                    }
                                })
                            };
                            (0..passes).map(&mut pass).sum::<Duration>()
                        });
                    });
                }
            }
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = settings(); targets = contention }
criterion_main!(benches);
