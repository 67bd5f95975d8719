//! One writer, by every way in, against every rival.

use benches::common::{
    Arrivals, Feed, PASS, Pairs, Skew, Trades, aggregator, by_handle, handles, record_batches,
    record_batches_by_handle, record_by_handle, record_by_id,
};
use benches::rivals::{Bound, DashMapOwnLayout, DashMapOwnLayoutSip, DashMapRing, MutexHashMap};
use candle_core::{Config, Tick};

use crate::{BATCH, ROUNDS, at_least, at_most, note, one_by_one};

pub(crate) fn bound_pass(bound: &mut Bound, instruments: &[u32], quotes: &[(&str, Tick)]) {
    for (instrument, (_, tick)) in instruments.iter().zip(quotes) {
        bound.record(*instrument, tick);
    }
}

/// 50,000 instruments, uniform, one thread, against every rival: trades, then quotes.
pub(crate) fn ingest() {
    ingest_of("bursts", Arrivals::Bursts);
    ingest_of("single ticks", Arrivals::Single);
}

fn ingest_of(label: &str, arrivals: Arrivals) {
    let mut feed = Feed::of(PASS, 50_000, Skew::Uniform, arrivals, 1);
    // One aggregator for each way, so that each of them gets its ticks in order.
    let [ours, by_id, by_batch, by_handles] = [(); 4].map(|()| aggregator(&feed, Config::DEFAULT_STRIPES));
    let handles = handles(&ours, &feed.quotes);
    let mut bound = Bound::new(feed.ids.len());
    let ring = DashMapRing::new(&feed.ids);
    let layout = DashMapOwnLayout::new(&feed.ids);
    let layout_sip = DashMapOwnLayoutSip::new(&feed.ids);
    let mutex = MutexHashMap::new(&feed.ids);
    #[cfg(feature = "rivals-agpl")]
    let agpl = benches::rivals::DashMapTradeAggregation::new(&feed.ids);
    let names = ["bound", "handle", "handles", "id", "batch", "layout", "layout sip", "ring", "mutex", "agpl"];
    let names = if cfg!(feature = "rivals-agpl") { &names[..] } else { &names[..9] };
    let mut pairs = Pairs::new(names);
    for _ in 0..ROUNDS {
        feed.advance();
        let quotes = &feed.quotes;
        let ticks = by_handle(&handles, quotes);
        pairs.round(|name| {
            Pairs::clock(PASS, || match name {
                "bound" => bound_pass(&mut bound, &feed.instruments, quotes),
                "handle" => record_by_handle(&ours, &ticks),
                "handles" => record_batches_by_handle(&by_handles, &ticks, BATCH),
                "id" => record_by_id(&by_id, quotes),
                "batch" => record_batches(&by_batch, quotes, BATCH),
                "layout" => one_by_one(quotes, |id, tick| layout.record(id, tick)),
                "layout sip" => one_by_one(quotes, |id, tick| layout_sip.record(id, tick)),
                "ring" => one_by_one(quotes, |id, tick| ring.record(id, tick)),
                "mutex" => one_by_one(quotes, |id, tick| mutex.record(id, tick)),
                #[cfg(feature = "rivals-agpl")]
                "agpl" => one_by_one(quotes, |id, tick| agpl.record(id, tick)),
                _ => unreachable!("a contender of this section"),
            })
        });
    }
    note(&format!("50 k, {label}, 1 thread, ns per tick: {}", pairs.times(names)));
    against_rivals(label, &pairs);
}

fn against_rivals(label: &str, pairs: &Pairs) {
    let what = |text: &str| format!("50 k, {label}: {text}");
    at_most(&what("by handle, one at a time / bound"), pairs.ratio("handle", "bound"), 1.8);
    at_most(&what("by handle, in batches / bound"), pairs.ratio("handles", "bound"), 1.8);
    at_most(&what("batch / bound"), pairs.ratio("batch", "bound"), 2.5);
    at_least(&what("`DashMap` of rings / by id"), pairs.ratio("ring", "id"), 5.0);
    at_least(&what("`DashMap` of rings / batch"), pairs.ratio("ring", "batch"), 12.0);
    at_least(&what("`DashMap`, our layout, foldhash / by id"), pairs.ratio("layout", "id"), 1.0);
    at_least(&what("`DashMap`, our layout, foldhash / batch"), pairs.ratio("layout", "batch"), 2.0);
    at_least(&what("`DashMap`, our layout, its hasher / by id"), pairs.ratio("layout sip", "id"), 1.0);
    if cfg!(feature = "rivals-agpl") {
        at_least(&what("`trade_aggregation` in a `DashMap` / by id"), pairs.ratio("agpl", "id"), 1.3);
    }
}

/// One real series by every way into an aggregator.
pub(crate) fn real() {
    let trades = Trades::million();
    let source = trades.source;
    let mut feed = Feed::real(trades);
    let [ours, by_id, by_batch, by_handles] = [(); 4].map(|()| aggregator(&feed, Config::DEFAULT_STRIPES));
    let handles = handles(&ours, &feed.quotes);
    let mut bound = Bound::new(feed.ids.len());
    let layout = DashMapOwnLayout::new(&feed.ids);
    let names = ["bound", "handle", "handles", "id", "batch", "layout"];
    let mut pairs = Pairs::new(&names);
    for _ in 0..ROUNDS {
        feed.advance();
        let quotes = &feed.quotes;
        let ticks = by_handle(&handles, quotes);
        pairs.round(|name| {
            Pairs::clock(quotes.len(), || match name {
                "bound" => bound_pass(&mut bound, &feed.instruments, quotes),
                "handle" => record_by_handle(&ours, &ticks),
                "handles" => record_batches_by_handle(&by_handles, &ticks, BATCH),
                "id" => record_by_id(&by_id, quotes),
                "batch" => record_batches(&by_batch, quotes, BATCH),
                _ => one_by_one(quotes, |id, tick| layout.record(id, tick)),
            })
        });
    }
    note(&format!("{source}, ns per tick: {}", pairs.times(&names)));
    at_least("real trades: `DashMap`, our layout, foldhash / by id", pairs.ratio("layout", "id"), 1.0);
    at_most("real trades: batch / by id, one at a time", pairs.ratio("batch", "id"), 1.0);
    at_most("real trades: by handle, in batches / one at a time", pairs.ratio("handles", "handle"), 1.0);
}

/// 1 M instruments: one at a time and batches against the rivals, then the growth of each way. One after the other, to fit
/// 16 GiB.
pub(crate) fn large() {
    let mut feed = Feed::of(PASS, 1_000_000, Skew::Uniform, Arrivals::Single, 3);
    large_rivals(&mut feed);
    growth(&mut feed);
}

fn large_rivals(feed: &mut Feed) {
    let [ours, by_handles, by_id] = [(); 3].map(|()| aggregator(feed, Config::DEFAULT_STRIPES));
    let mut bound = Bound::new(feed.ids.len());
    let ring = DashMapRing::new(&feed.ids);
    let layout = DashMapOwnLayout::new(&feed.ids);
    let handles = handles(&ours, &feed.quotes);
    let names = ["bound", "handles", "batch", "id", "layout", "ring"];
    let mut pairs = Pairs::new(&names);
    for _ in 0..ROUNDS {
        feed.advance();
        let ticks = by_handle(&handles, &feed.quotes);
        pairs.round(|name| {
            Pairs::clock(PASS, || match name {
                "bound" => bound_pass(&mut bound, &feed.instruments, &feed.quotes),
                "handles" => record_batches_by_handle(&by_handles, &ticks, BATCH),
                "batch" => record_batches(&ours, &feed.quotes, BATCH),
                "id" => record_by_id(&by_id, &feed.quotes),
                "layout" => one_by_one(&feed.quotes, |id, tick| layout.record(id, tick)),
                _ => one_by_one(&feed.quotes, |id, tick| ring.record(id, tick)),
            })
        });
    }
    note(&format!("1 M, single ticks, 1 thread, ns per tick: {}", pairs.times(&names)));
    at_most("1 M: by handle, in batches / bound", pairs.ratio("handles", "bound"), 1.8);
    at_most("1 M: batch / bound", pairs.ratio("batch", "bound"), 2.5);
    at_least("1 M: `DashMap` of rings / batch", pairs.ratio("ring", "batch"), 12.0);
    at_least("1 M: `DashMap`, our layout, foldhash / batch", pairs.ratio("layout", "batch"), 2.0);
    at_least("1 M: `DashMap`, our layout, foldhash / by id, one at a time", pairs.ratio("layout", "id"), 0.8);
}

fn growth(feed: &mut Feed) {
    let mut small = Feed::of(PASS, 50_000, Skew::Uniform, Arrivals::Single, 3);
    let few = [(); 3].map(|()| aggregator(&small, Config::DEFAULT_STRIPES));
    let many = [(); 3].map(|()| aggregator(feed, Config::DEFAULT_STRIPES));
    let (few_handles, many_handles) = (handles(&few[0], &small.quotes), handles(&many[0], &feed.quotes));
    let (mut few_bound, mut bound) = (Bound::new(small.ids.len()), Bound::new(feed.ids.len()));
    let names = ["bound 50k", "bound", "handle 50k", "handle", "id 50k", "id", "batch 50k", "batch"];
    let mut pairs = Pairs::new(&names);
    for _ in 0..ROUNDS {
        small.advance();
        feed.advance();
        let few_ticks = by_handle(&few_handles, &small.quotes);
        let many_ticks = by_handle(&many_handles, &feed.quotes);
        pairs.round(|name| {
            Pairs::clock(PASS, || match name {
                "bound 50k" => bound_pass(&mut few_bound, &small.instruments, &small.quotes),
                "bound" => bound_pass(&mut bound, &feed.instruments, &feed.quotes),
                "handle 50k" => record_by_handle(&few[0], &few_ticks),
                "handle" => record_by_handle(&many[0], &many_ticks),
                "id 50k" => record_by_id(&few[1], &small.quotes),
                "id" => record_by_id(&many[1], &feed.quotes),
                "batch 50k" => record_batches(&few[2], &small.quotes, BATCH),
                _ => record_batches(&many[2], &feed.quotes, BATCH),
            })
        });
    }
    note(&format!("growth, ns per tick: {}", pairs.times(&names)));
    for (what, large, small) in
        [("by handle", "handle", "handle 50k"), ("by id", "id", "id 50k"), ("batch", "batch", "batch 50k")]
    {
        let growth = pairs.figure([large, small, "bound", "bound 50k"], |[l, s, bl, bs]| (l / s) / (bl / bs));
        at_most(&format!("growth 50 k to 1 M, {what} / bound's growth"), growth, 1.2);
    }
}
