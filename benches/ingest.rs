//! The time to record one tick: ours by id, by handle and in batches, and every rival on the same ticks.

use std::time::Instant;

use benches::common::{
    Feed, PASS, Skew, aggregator, by_handle, handles, record_batches, record_by_handle, record_by_id, settings,
};
use benches::rivals::{Bound, DashMapOwnLayout, DashMapOwnLayoutSip, DashMapRing, MutexHashMap};
use candle_core::{Config, Tick};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

type Group<'c> = BenchmarkGroup<'c, WallTime>;

fn ingest(c: &mut Criterion) {
    for (instruments, label) in [(10, "10"), (50_000, "50k"), (1_000_000, "1M")] {
        for skew in [Skew::Uniform, Skew::Zipf] {
            measure(c, &format!("ingest/{label}/{skew:?}"), &mut Feed::new(instruments, skew, 1));
        }
    }
}

/// Measures one contender of a group.
fn contend(group: &mut Group<'_>, name: &str, feed: &mut Feed, mut pass: impl FnMut(&Feed)) {
    group.bench_function(name, |b| b.iter_custom(|passes| feed.time(passes, &mut pass)));
}

/// Measures a rival that records ticks one by one. The rival is dropped before the next one is created.
fn rival(group: &mut Group<'_>, name: &str, feed: &mut Feed, mut record: impl FnMut(&str, &Tick)) {
    contend(group, name, feed, |feed| feed.quotes.iter().for_each(|(id, tick)| record(id, tick)));
}

fn measure(c: &mut Criterion, name: &str, feed: &mut Feed) {
    let group = &mut c.benchmark_group(name);
    group.throughput(Throughput::Elements(PASS as u64));
    let ours = aggregator(feed, Config::DEFAULT_STRIPES);
    let handles = handles(&ours, &feed.quotes);
    contend(group, "by id", feed, |feed| record_by_id(&ours, &feed.quotes));
    group.bench_function("by handle", |b| {
        b.iter_custom(|passes| {
            let pass = |_| {
                feed.advance();
                let ticks = by_handle(&handles, &feed.quotes);
                let start = Instant::now();
                record_by_handle(&ours, &ticks);
                start.elapsed()
            };
            (0..passes).map(pass).sum()
        });
    });
    contend(group, "batches of 64", feed, |feed| record_batches(&ours, &feed.quotes, 64));
    contend(group, "batches of 4096", feed, |feed| record_batches(&ours, &feed.quotes, 4096));
    drop(ours);
    let mut bound = Bound::new(feed.ids.len());
    contend(group, "bound", feed, |feed| {
        feed.instruments.iter().zip(&feed.quotes).for_each(|(instrument, (_, tick))| bound.record(*instrument, tick));
    });
    drop(bound);
    let map = DashMapRing::new(&feed.ids);
    rival(group, "DashMap of rings", feed, move |id, tick| map.record(id, tick));
    let map = DashMapOwnLayout::new(&feed.ids);
    rival(group, "DashMap, our layout, foldhash", feed, move |id, tick| map.record(id, tick));
    let map = DashMapOwnLayoutSip::new(&feed.ids);
    rival(group, "DashMap, our layout, SipHash", feed, move |id, tick| map.record(id, tick));
    let map = MutexHashMap::new(&feed.ids);
    rival(group, "Mutex of HashMap", feed, move |id, tick| map.record(id, tick));
    #[cfg(feature = "rivals-agpl")]
    {
        let map = benches::rivals::DashMapTradeAggregation::new(&feed.ids);
        rival(group, "DashMap of trade_aggregation", feed, move |id, tick| map.record(id, tick));
    }
}

criterion_group! { name = benches; config = settings(); targets = ingest }
criterion_main!(benches);
