//! Two concurrent writers.

use std::time::Instant;

use benches::common::{
    Feed, Pairs, Skew, aggregator, at_once, by_handle, handles, record_batches, record_batches_by_handle,
    record_by_handle, record_by_id,
};
use benches::rivals::{Bound, DashMapRing};
use candle_core::Config;

use crate::ingest::bound_pass;
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

/// Measures the speed-up by a second writer. Writers share all instruments. Each writer of the bound has a vector of its own
/// with all instruments, so that the memory of a writer is the same for one writer and for two.
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
    let bounds = [(); 2].map(|()| std::sync::Mutex::new(Bound::new(50_000)));
    let mut pairs = Pairs::new(&NAMES);
    for _ in 0..ROUNDS {
        feeds.iter_mut().for_each(Feed::advance);
        for ((ticks, handles), feed) in ticks.iter_mut().zip(&handles).zip(&feeds) {
            *ticks = by_handle(handles, &feed.quotes);
        }
        pairs.round(|name| {
            let (what, threads) = name.split_once(' ').expect("two words");
            let ours = &ours[NAMES.iter().position(|known| *known == name).expect("a contender of this section")];
            let half = |number: usize| {
                let feed = &feeds[number];
                match what {
                    "bound" => {
                        let mut bound = bounds[number].lock().expect("no thread panics");
                        bound_pass(&mut bound, &feed.instruments, &feed.quotes);
                    }
                    "handle" => record_by_handle(ours, &ticks[number]),
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
