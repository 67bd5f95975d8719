//! Batches of other lengths than a block: what a live feed brings.

use benches::common::{
    Arrivals, Feed, PASS, Pairs, Skew, aggregator, by_handle, handles, record_batches, record_batches_by_handle,
    record_by_handle, record_by_id,
};
use benches::rivals::DashMapOwnLayout;
use candle_core::Config;

use crate::{ROUNDS, at_least, at_most, note, one_by_one};

const LENS: [usize; 9] = [1, 4, 8, 16, 64, 127, 256, 1024, 4096];

/// Batches by id and by handle against one by one: trades, then quotes.
pub(crate) fn batches() {
    batches_of("bursts", Arrivals::Bursts);
    batches_of("single ticks", Arrivals::Single);
}

fn batches_of(label: &str, arrivals: Arrivals) {
    let mut feed = Feed::of(PASS, 50_000, Skew::Uniform, arrivals, 2);
    let by_len = [(); 2].map(|()| LENS.map(|_| aggregator(&feed, Config::DEFAULT_STRIPES)));
    let [by_id, by_one_handle] = [(); 2].map(|()| aggregator(&feed, Config::DEFAULT_STRIPES));
    let handles = handles(&by_id, &feed.quotes);
    let layout = DashMapOwnLayout::new(&feed.ids);
    let ways = LENS.map(|len| [format!("id {len}"), format!("handle {len}")]);
    let mut names: Vec<&str> = vec!["id", "handle", "layout"];
    names.extend(ways.iter().flatten().map(|name| &*name.clone().leak()));
    let mut pairs = Pairs::new(&names);
    for _ in 0..ROUNDS {
        feed.advance();
        let ticks = by_handle(&handles, &feed.quotes);
        pairs.round(|name| {
            Pairs::clock(PASS, || {
                let place = LENS.iter().position(|len| name.ends_with(&format!(" {len}")));
                match (name.split(' ').next(), place) {
                    (Some("id"), Some(place)) => record_batches(&by_len[0][place], &feed.quotes, LENS[place]),
                    (_, Some(place)) => record_batches_by_handle(&by_len[1][place], &ticks, LENS[place]),
                    (Some("id"), None) => record_by_id(&by_id, &feed.quotes),
                    (Some("handle"), None) => record_by_handle(&by_one_handle, &ticks),
                    _ => one_by_one(&feed.quotes, |id, tick| layout.record(id, tick)),
                }
            })
        });
    }
    note(&format!("50 k, {label}, one by one, ns per tick: {}", pairs.times(&["id", "handle", "layout"])));
    for (len, [id, handle]) in LENS.iter().zip(&ways) {
        let (by_id, by_handle) = (pairs.ratio(id, "id"), pairs.ratio(handle, "handle"));
        note(&format!("50 k, {label}: batches of {len} / one by one, by id {by_id:.2}, by handle {by_handle:.2}"));
    }
    at_most(&format!("50 k, {label}: batches of 16 / one by one, by id"), pairs.ratio("id 16", "id"), 0.6);
    at_most(&format!("50 k, {label}: batches of 16 / one by one, by handle"), pairs.ratio("handle 16", "handle"), 0.8);
    let layout = pairs.ratio("layout", "id 16");
    at_least(&format!("50 k, {label}: `DashMap`, our layout, foldhash / batches of 16 by id"), layout, 1.0);
}
