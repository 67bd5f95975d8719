//! The goals as ratios, each pair measured in turn within one run, printed as one table.
//!
//! `cargo bench --bench ratios [-- SECTION...]` with any of: ingest large threads series read top batches

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use benches::common::{
    Feed, PASS, Pairs, Skew, aggregator, at_once, filled, handles, median, record_batches, record_by_handle,
    record_by_id,
};
use benches::rivals::{Bound, DashMapOwnLayout, DashMapOwnLayoutSip, DashMapRing, MutexHashMap};
use candle_core::{Aggregator, Config, Tick};

/// Ticks in a batch where nothing else is said: a block of a file, or what a busy socket has ready.
const BATCH: usize = 4096;

/// Rounds of each section: enough that one disturbed round in three leaves the median alone.
const ROUNDS: usize = 31;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("ratios are measured by cargo bench; here they are only built");
        return;
    }
    let asked: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    println!("| what | ratio | goal | |\n|---|---|---|---|");
    let sections: [(&str, fn()); 7] = [
        ("ingest", ingest),
        ("batches", batches),
        ("large", large),
        ("threads", threads),
        ("series", series),
        ("read", read),
        ("top", top),
    ];
    for (name, run) in sections {
        if asked.is_empty() || asked.iter().any(|wanted| *wanted == name) {
            run();
        }
    }
}

/// One line of the table: `ratio` must be at most `goal`.
fn at_most(what: &str, ratio: f64, goal: f64) {
    println!("| {what} | {ratio:.2} | at most {goal} | {} |", if ratio <= goal { "met" } else { "**missed**" });
}

/// One line of the table: `ratio` must be at least `goal`.
fn at_least(what: &str, ratio: f64, goal: f64) {
    println!("| {what} | {ratio:.2} | at least {goal} | {} |", if ratio >= goal { "met" } else { "**missed**" });
}

/// A line that belongs to no goal.
fn note(text: &str) {
    println!("| {text} | | | |");
}

fn one_by_one(quotes: &[(&str, Tick)], mut record: impl FnMut(&str, &Tick)) {
    for (id, tick) in quotes {
        record(id, tick);
    }
}

fn bound_pass(bound: &mut Bound, places: &[u32], quotes: &[(&str, Tick)]) {
    for (place, (_, tick)) in places.iter().zip(quotes) {
        bound.record(*place, tick);
    }
}

/// 50 k instruments, uniform, one thread, against every rival.
fn ingest() {
    let mut feed = Feed::new(50_000, Skew::Uniform, 1);
    // One for each way, so that every one of them gets its ticks in order.
    let [ours, by_id, by_batch] = [(); 3].map(|()| aggregator(&feed, Config::DEFAULT_STRIPES));
    let handles = handles(&ours, &feed.quotes);
    let mut bound = Bound::new(feed.ids.len());
    let ring = DashMapRing::new(&feed.ids);
    let layout = DashMapOwnLayout::new(&feed.ids);
    let layout_sip = DashMapOwnLayoutSip::new(&feed.ids);
    let mutex = MutexHashMap::new(&feed.ids);
    #[cfg(feature = "rivals-agpl")]
    let agpl = benches::rivals::DashMapTradeAggregation::new(&feed.ids);
    let names = ["bound", "handle", "id", "batch", "layout", "layout sip", "ring", "mutex", "agpl"];
    let names = if cfg!(feature = "rivals-agpl") { &names[..] } else { &names[..8] };
    let mut pairs = Pairs::new(names);
    for _ in 0..ROUNDS {
        feed.advance();
        let quotes = &feed.quotes;
        pairs.round(|name| {
            Pairs::clock(PASS, || match name {
                "bound" => bound_pass(&mut bound, &feed.places, quotes),
                "handle" => record_by_handle(&ours, &handles, quotes),
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
    note(&format!("50 k uniform, 1 thread, ns a tick: {}", pairs.times(names)));
    at_most("by handle / bound", pairs.ratio("handle", "bound"), 1.8);
    at_least("`DashMap` of rings / by handle", pairs.ratio("ring", "handle"), 18.0);
    at_least("`DashMap` of rings / by id", pairs.ratio("ring", "id"), 5.0);
    if cfg!(feature = "rivals-agpl") {
        at_least("`trade_aggregation` in a `DashMap` / by id", pairs.ratio("agpl", "id"), 1.3);
    }
    at_least("`DashMap`, our layout, foldhash / by id", pairs.ratio("layout", "id"), 1.0);
    at_least("`DashMap`, our layout, its hasher / by id", pairs.ratio("layout sip", "id"), 1.0);
    at_least("`DashMap` of rings / batch", pairs.ratio("ring", "batch"), 12.0);
    at_least("`DashMap`, our layout, foldhash / batch", pairs.ratio("layout", "batch"), 2.0);
    at_most("batch / bound", pairs.ratio("batch", "bound"), 2.5);
}

/// Batches of other lengths: what a live feed has.
fn batches() {
    let mut feed = Feed::new(50_000, Skew::Uniform, 2);
    let lens = [
        ("1", 1),
        ("4", 4),
        ("8", 8),
        ("16", 16),
        ("64", 64),
        ("256", 256),
        ("1024", 1024),
        ("4096", 4096),
        ("all", PASS),
    ];
    let mut names = vec!["id"];
    names.extend(lens.map(|(name, _)| name));
    let by_id = aggregator(&feed, Config::DEFAULT_STRIPES);
    let by_len = lens.map(|_| aggregator(&feed, Config::DEFAULT_STRIPES));
    let mut pairs = Pairs::new(&names);
    for _ in 0..ROUNDS {
        feed.advance();
        pairs.round(|name| {
            Pairs::clock(PASS, || match lens.iter().position(|(known, _)| *known == name) {
                Some(place) => record_batches(&by_len[place], &feed.quotes, lens[place].1),
                None => record_by_id(&by_id, &feed.quotes),
            })
        });
    }
    for (name, _) in lens {
        note(&format!("batches of {name}: {:.2} of one by one ({:.1} ns)", pairs.ratio(name, "id"), pairs.time(name)));
    }
}

/// 1 M instruments: batches against the rivals, then how each way grows. One after the other, to fit 16 GiB.
fn large() {
    let mut feed = Feed::new(1_000_000, Skew::Uniform, 3);
    large_rivals(&mut feed);
    growth(&mut feed);
}

fn large_rivals(feed: &mut Feed) {
    let ours = aggregator(feed, Config::DEFAULT_STRIPES);
    let mut bound = Bound::new(feed.ids.len());
    let ring = DashMapRing::new(&feed.ids);
    let layout = DashMapOwnLayout::new(&feed.ids);
    let names = ["bound", "batch", "layout", "ring"];
    let mut pairs = Pairs::new(&names);
    for _ in 0..ROUNDS {
        feed.advance();
        pairs.round(|name| {
            Pairs::clock(PASS, || match name {
                "bound" => bound_pass(&mut bound, &feed.places, &feed.quotes),
                "batch" => record_batches(&ours, &feed.quotes, BATCH),
                "layout" => one_by_one(&feed.quotes, |id, tick| layout.record(id, tick)),
                _ => one_by_one(&feed.quotes, |id, tick| ring.record(id, tick)),
            })
        });
    }
    note(&format!("1 M uniform, 1 thread, ns a tick: {}", pairs.times(&names)));
    at_least("1 M: `DashMap` of rings / batch", pairs.ratio("ring", "batch"), 12.0);
    at_least("1 M: `DashMap`, our layout, foldhash / batch", pairs.ratio("layout", "batch"), 2.0);
    at_most("1 M: batch / bound", pairs.ratio("batch", "bound"), 2.5);
}

fn growth(feed: &mut Feed) {
    let mut small = Feed::new(50_000, Skew::Uniform, 3);
    let few = [(); 3].map(|()| aggregator(&small, Config::DEFAULT_STRIPES));
    let many = [(); 3].map(|()| aggregator(feed, Config::DEFAULT_STRIPES));
    let (few_handles, many_handles) = (handles(&few[0], &small.quotes), handles(&many[0], &feed.quotes));
    let (mut few_bound, mut bound) = (Bound::new(small.ids.len()), Bound::new(feed.ids.len()));
    let names = ["bound 50k", "bound", "handle 50k", "handle", "id 50k", "id", "batch 50k", "batch"];
    let mut pairs = Pairs::new(&names);
    for _ in 0..ROUNDS {
        small.advance();
        feed.advance();
        pairs.round(|name| {
            Pairs::clock(PASS, || match name {
                "bound 50k" => bound_pass(&mut few_bound, &small.places, &small.quotes),
                "bound" => bound_pass(&mut bound, &feed.places, &feed.quotes),
                "handle 50k" => record_by_handle(&few[0], &few_handles, &small.quotes),
                "handle" => record_by_handle(&many[0], &many_handles, &feed.quotes),
                "id 50k" => record_by_id(&few[1], &small.quotes),
                "id" => record_by_id(&many[1], &feed.quotes),
                "batch 50k" => record_batches(&few[2], &small.quotes, BATCH),
                _ => record_batches(&many[2], &feed.quotes, BATCH),
            })
        });
    }
    note(&format!("growth, ns a tick: {}", pairs.times(&names)));
    for (what, large, small) in
        [("by handle", "handle", "handle 50k"), ("by id", "id", "id 50k"), ("batch", "batch", "batch 50k")]
    {
        let growth = pairs.figure([large, small, "bound", "bound 50k"], |[l, s, bl, bs]| (l / s) / (bl / bs));
        at_most(&format!("growth 50 k to 1 M, {what} / bound's growth"), growth, 1.2);
    }
}

/// How two writers scale: each has half of the ticks, the bound half of the instruments too.
fn threads() {
    threads_with("uniform", Skew::Uniform);
    threads_with("Zipf", Skew::Zipf);
}

fn threads_with(label: &str, skew: Skew) {
    const REPEAT: usize = 3;
    let mut feeds = [Feed::new(50_000, skew, 4), Feed::new(50_000, skew, 5)];
    let ours = aggregator(&feeds[0], Config::DEFAULT_STRIPES);
    let handles = [handles(&ours, &feeds[0].quotes), handles(&ours, &feeds[1].quotes)];
    let ring = DashMapRing::new(&feeds[0].ids);
    let bounds = [0, 1].map(|_| std::sync::Mutex::new(Bound::new(50_000)));
    let mut pairs = Pairs::new(&[
        "bound 1", "bound 2", "handle 1", "handle 2", "batch 1", "batch 2", "id 1", "id 2", "ring 1", "ring 2",
    ]);
    for _ in 0..ROUNDS {
        feeds.iter_mut().for_each(Feed::advance);
        pairs.round(|name| {
            let (what, threads) = name.split_once(' ').expect("two words");
            let half = |number: usize| {
                let feed = &feeds[number];
                let mut bound = bounds[number].lock().expect("nobody panics");
                for _ in 0..if what == "ring" { 1 } else { REPEAT } {
                    match what {
                        // Half of the instruments each: what one owner would have if the work were dealt out.
                        "bound" => {
                            for (place, (_, tick)) in feed.places.iter().zip(&feed.quotes) {
                                bound.record(if threads == "2" { place / 2 } else { *place }, tick);
                            }
                        }
                        "handle" => record_by_handle(&ours, &handles[number], &feed.quotes),
                        "batch" => record_batches(&ours, &feed.quotes, BATCH),
                        "id" => record_by_id(&ours, &feed.quotes),
                        _ => one_by_one(&feed.quotes, |id, tick| ring.record(id, tick)),
                    }
                }
            };
            if threads == "2" {
                at_once(2, half).as_secs_f64()
            } else {
                let start = Instant::now();
                half(0);
                start.elapsed().as_secs_f64()
            }
        });
    }
    for what in ["handle", "batch", "id", "ring"] {
        // Both threads do a whole pass: the speed-up is twice the time of one over the time of two.
        let (one, two) = (format!("{what} 1"), format!("{what} 2"));
        let scaling = pairs.figure([&one, &two], |[one, two]| 2.0 * one / two);
        let against = pairs.figure([&one, &two, "bound 1", "bound 2"], |[o, t, bo, bt]| (o / t) / (bo / bt));
        if what == "ring" {
            note(&format!("2 writers, {label}: `DashMap` of rings x{scaling:.2}"));
        } else {
            at_least(&format!("2 writers, {label}, {what} (x{scaling:.2}) / bound's scaling"), against, 0.9);
        }
    }
}

/// One instrument alone.
#[cfg(feature = "rivals-agpl")]
fn series() {
    use benches::rivals::{Ohlc, Ohlcv, Series};
    use candle_core::{Ring, Rules};

    let mut feed = Feed::new(50_000, Skew::Uniform, 6);
    let (mut ours, mut ohlc, mut ohlcv) = (Ring::default(), Series::<Ohlc>::default(), Series::<Ohlcv>::default());
    let mut pairs = Pairs::new(&["ours", "ohlc", "ohlcv"]);
    for _ in 0..3 * ROUNDS {
        feed.advance();
        pairs.round(|name| {
            Pairs::clock(PASS, || match name {
                "ours" => {
                    let judge = Rules::default().at(Feed::now(&feed.quotes));
                    for (_, tick) in &feed.quotes {
                        let _ = ours.record(tick, &judge);
                    }
                }
                "ohlc" => feed.quotes.iter().for_each(|(_, tick)| ohlc.record(tick)),
                _ => feed.quotes.iter().for_each(|(_, tick)| ohlcv.record(tick)),
            })
        });
        black_box((&ours, &ohlc, &ohlcv));
    }
    note(&format!("one series, ns a tick: {}", pairs.times(&["ours", "ohlc", "ohlcv"])));
    at_least("one series: `trade_aggregation` OHLC / ours", pairs.ratio("ohlc", "ours"), 1.0);
    at_least("one series: the same with volume and count / ours", pairs.ratio("ohlcv", "ours"), 1.0);
}

#[cfg(not(feature = "rivals-agpl"))]
fn series() {
    note("one series: with --features rivals-agpl");
}

/// What a view costs beside its read, and what readers and writers cost each other.
fn read() {
    let mut feed = Feed::new(50_000, Skew::Uniform, 7);
    let ours = filled(&feed);
    let mut pairs = Pairs::new(&["history", "view", "hit", "resolve"]);
    let some = &feed.quotes[..20_000];
    for _ in 0..3 * ROUNDS {
        pairs.round(|name| {
            Pairs::clock(some.len(), || match name {
                "history" => one_by_one(some, |id, _| drop(black_box(ours.history(id)))),
                "view" => one_by_one(some, |id, _| drop(black_box(ours.view(id)))),
                "hit" => one_by_one(some, |id, _| _ = black_box(ours.hit(id))),
                _ => one_by_one(some, |id, _| _ = black_box(ours.resolve(id))),
            })
        });
    }
    note(&format!("50 k uniform, full rings, ns a call: {}", pairs.times(&["history", "view", "hit", "resolve"])));
    at_most("a view on top of its read, ns", pairs.figure(["view", "history"], |[view, read]| view - read), 5.0);
    at_most("a hit on top of a look-up, ns", pairs.figure(["hit", "resolve"], |[hit, read]| hit - read), 5.0);
    under_writers(&mut feed, &ours);
}

/// One thread writes, the other reads 100 k times a second, or only waits as long.
fn under_writers(feed: &mut Feed, ours: &Aggregator) {
    const GAP: Duration = Duration::from_micros(10);
    const SPELL: Duration = Duration::from_millis(150);
    let handles = handles(ours, &feed.quotes);
    for (label, batched) in [("by handle", false), ("in batches", true)] {
        let mut latencies = Vec::new();
        let mut pairs = Pairs::new(&["alone", "read"]);
        for _ in 0..ROUNDS {
            feed.advance();
            pairs.round(|name| {
                let (done, passes) = (AtomicBool::new(false), AtomicU64::new(0));
                std::thread::scope(|scope| {
                    let writer = scope.spawn(|| {
                        let start = Instant::now();
                        while !done.load(Ordering::Relaxed) {
                            if batched {
                                record_batches(ours, &feed.quotes, BATCH);
                            } else {
                                record_by_handle(ours, &handles, &feed.quotes);
                            }
                            passes.fetch_add(1, Ordering::Relaxed);
                        }
                        start.elapsed()
                    });
                    let start = Instant::now();
                    let mut next = start;
                    let mut asked = feed.quotes.iter().cycle();
                    while next - start < SPELL {
                        while Instant::now() < next {
                            std::hint::spin_loop();
                        }
                        next += GAP;
                        let (id, _) = asked.next().expect("a cycle has no end");
                        if name == "read" {
                            let asked = Instant::now();
                            black_box(ours.view(id));
                            latencies.push(asked.elapsed().as_secs_f64() * 1e9);
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

/// The top ten at two sizes.
fn top() {
    let feeds = [Feed::new(50_000, Skew::Zipf, 8), Feed::new(1_000_000, Skew::Zipf, 8)];
    let ours = feeds.each_ref().map(|feed| aggregator(feed, Config::DEFAULT_STRIPES));
    for (ours, feed) in ours.iter().zip(&feeds) {
        one_by_one(&feed.quotes, |id, _| _ = black_box(ours.hit(id)));
    }
    let mut pairs = Pairs::new(&["50k", "1M"]);
    let mut found = Vec::with_capacity(10);
    for _ in 0..3 * ROUNDS {
        pairs.round(|name| {
            let ours = &ours[usize::from(name == "1M")];
            Pairs::clock(100, || (0..100).for_each(|_| ours.top(10, &mut found)))
        });
    }
    note(&format!("top ten, ns: 50 k {:.0}, 1 M {:.0}", pairs.time("50k"), pairs.time("1M")));
    at_most("top ten at 1 M / at 50 k", pairs.ratio("1M", "50k"), 2.0);
}
