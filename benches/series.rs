//! One real series with one owner: our ring, a plain ring, and (with `rivals-agpl`) `trade_aggregation`.

use std::hint::black_box;

use benches::common::{Feed, Trades, batches, settings};
use candle_core::{Ring, Rules};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn series(c: &mut Criterion) {
    let mut feed = Feed::real(Trades::million());
    let mut group = c.benchmark_group("series");
    group.throughput(Throughput::Elements(feed.quotes.len() as u64));
    let mut ours = Ring::default();
    group.bench_function("candle-core", |b| {
        b.iter_custom(|passes| {
            feed.time(passes, |feed| {
                for batch in batches(&feed.quotes, 4096) {
                    let validator = Rules::default().at(Feed::now(batch));
                    black_box(batch.iter().filter(|(_, tick)| ours.record(tick, &validator).is_accepted()).count());
                }
            })
        });
    });
    let mut plain = benches::rivals::PlainRing::default();
    group.bench_function("plain ring, in order only", |b| {
        b.iter_custom(|passes| {
            feed.time(passes, |feed| feed.quotes.iter().for_each(|(_, tick)| black_box(&mut plain).update(tick)))
        });
    });
    #[cfg(feature = "rivals-agpl")]
    {
        let mut ohlc = benches::rivals::Series::<benches::rivals::Ohlc>::default();
        group.bench_function("trade_aggregation OHLC", |b| {
            b.iter_custom(|passes| {
                feed.time(passes, |feed| feed.quotes.iter().for_each(|(_, tick)| ohlc.record(tick)))
            });
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = settings(); targets = series }
criterion_main!(benches);
