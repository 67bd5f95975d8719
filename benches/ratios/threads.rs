//! Two concurrent writers.

use std::time::Instant;

use benches::common::{
    Feed, Pairs, Skew, aggregator, at_once, handles, record_batches, record_batches_by_handle, record_by_handle,
    record_by_id,
};
use benches::rivals::{Bound, DashMapRing};
use candle_core::Config;

use crate::{BATCH, ROUNDS, at_least, note, one_by_one};

/// The contenders, each with its number of writers.
const NAMES: [&str; 12] = [
    "bound 1",
    "bound 2",
    "handle 1",
    "handle 2",
    "handles 1",
    "handles 2",
    "batch 1",
    "batch 2",
    "id 1",
    "id 2",
    "ring 1",
    "ring 2",
];

/// Measures the speed-up by a second writer. Each writer has half of the ticks; those of the bound have half of the
/// instruments too.
pub(crate) fn threads() {
    threads_with("uniform", Skew::Uniform);
    threads_with("Zipf", Skew::Zipf);
}

fn threads_with(label: &str, skew: Skew) {
    let mut feeds = [Feed::new(50_000, skew, 4), Feed::new(50_000, skew, 5)];
    // Each contender has its own aggregator, so that its ticks are in order.
    let ours = NAMES.map(|_| aggregator(&feeds[0], Config::DEFAULT_STRIPES));
    let handles = [handles(&ours[0], &feeds[0].quotes), handles(&ours[0], &feeds[1].quotes)];
    let rings = [1, 2].map(|_| DashMapRing::new(&feeds[0].ids));
    let mut ticks = [Vec::new(), Vec::new()];
    let bound = || std::sync::Mutex::new(Bound::new(50_000));
    let (alone, halves) = (bound(), [bound(), bound()]);
    let mut pairs = Pairs::new(&NAMES);
    for _ in 0..ROUNDS {
        feeds.iter_mut().for_each(Feed::advance);
        for ((ticks, handles), feed) in ticks.iter_mut().zip(&handles).zip(&feeds) {
            *ticks = handles.iter().zip(&feed.quotes).map(|(handle, (_, tick))| (*handle, *tick)).collect();
        }
        pairs.round(|name| {
            let (what, threads) = name.split_once(' ').expect("two words");
            let ours = &ours[NAMES.iter().position(|known| *known == name).expect("a contender of this section")];
            let half = |number: usize| {
                let feed = &feeds[number];
                match what {
                    // Each owner has half of the instruments, as if the instruments were distributed to the threads.
                    "bound" => {
                        let (owned, owners) = if threads == "2" { (&halves[number], 2) } else { (&alone, 1) };
                        let mut bound = owned.lock().expect("no thread panics");
                        for (instrument, (_, tick)) in feed.instruments.iter().zip(&feed.quotes) {
                            bound.record(instrument / owners, tick);
                        }
                    }
                    "handle" => record_by_handle(ours, &handles[number], &feed.quotes),
                    "handles" => record_batches_by_handle(ours, &ticks[number], BATCH),
                    "batch" => record_batches(ours, &feed.quotes, BATCH),
                    "id" => record_by_id(ours, &feed.quotes),
                    _ => one_by_one(&feed.quotes, |id, tick| rings[usize::from(threads == "2")].record(id, tick)),
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
    for what in ["handle", "handles", "batch", "id", "ring"] {
        // Each of two threads does a whole pass, so the speed-up is twice the time of one thread over that of two.
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
