//! `candle-core`, driven in the four ways that it offers.

use std::hint::black_box;

use candle_core::{Aggregator, Config, Handle, Minute, Tick, Timestamp};

use super::feed::Feed;

/// Ticks under one "now": what a feed's read of a socket or a block of a file brings.
const SPAN: usize = 4096;

/// An aggregator that lists every instrument of `feed`, with a fixed seed.
///
/// # Panics
/// When the feed has more instruments than can be listed.
pub fn aggregator(feed: &Feed, stripes: usize) -> Aggregator {
    let config = Config::default().with_seed(1).with_stripes(stripes).with_max_instruments(feed.ids.len());
    let aggregator = Aggregator::new(config);
    for id in &feed.ids {
        aggregator.list(id, None).expect("ids are valid and few enough");
    }
    aggregator
}

/// The handle of each tick's instrument: a caller keeps it where it would keep the id.
///
/// # Panics
/// When an instrument is not listed.
pub fn handles(aggregator: &Aggregator, quotes: &[(&str, Tick)]) -> Vec<Handle> {
    quotes.iter().map(|(id, _)| aggregator.resolve(id).expect("every instrument of a feed is listed")).collect()
}

/// Records ticks one by one, by string id.
pub fn record_by_id(aggregator: &Aggregator, quotes: &[(&str, Tick)]) {
    let mut accepted = 0;
    for span in quotes.chunks(SPAN) {
        let now = Feed::now(span);
        for (id, tick) in span {
            accepted += u64::from(aggregator.record(id, tick, now).is_accepted());
        }
    }
    black_box(accepted);
}

/// Records ticks one by one, by handle.
pub fn record_by_handle(aggregator: &Aggregator, handles: &[Handle], quotes: &[(&str, Tick)]) {
    let mut accepted = 0;
    for (handles, span) in handles.chunks(SPAN).zip(quotes.chunks(SPAN)) {
        let now = Feed::now(span);
        for (handle, (_, tick)) in handles.iter().zip(span) {
            accepted += u64::from(aggregator.record_at(*handle, tick, now).is_accepted());
        }
    }
    black_box(accepted);
}

/// Records ticks in batches of `len`, by string id.
pub fn record_batches(aggregator: &Aggregator, quotes: &[(&str, Tick)], len: usize) {
    for batch in quotes.chunks(len) {
        black_box(aggregator.record_batch(batch, Feed::now(batch)));
    }
}

/// Records ticks in batches of `len`, by handle.
pub fn record_batches_by_handle(aggregator: &Aggregator, ticks: &[(Handle, Tick)], len: usize) {
    for batch in ticks.chunks(len) {
        let now = batch.last().map_or(Timestamp::EPOCH, |(_, tick)| tick.time);
        black_box(aggregator.record_batch_at(batch, now));
    }
}

/// An aggregator that lists every instrument of `feed`, with 31 minutes of candles each.
pub fn filled(feed: &Feed) -> Aggregator {
    let ours = aggregator(feed, Config::DEFAULT_STRIPES);
    for minute in -31..0 {
        let at = Minute::EPOCH.saturating_add(minute).start();
        for (n, id) in feed.ids.iter().enumerate() {
            let _ = ours.record(id, &Tick::new(at, 100.0 + (n % 7) as f64), at);
        }
    }
    ours
}
