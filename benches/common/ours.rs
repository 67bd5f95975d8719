//! `candle-core`, driven in the four ways that it offers.

use std::hint::black_box;

use candle_core::{Aggregator, Config, Handle, Tick, Timestamp};

use super::feed::{Feed, batches};

/// The number of ticks under one `now`: what a feed's read of a socket or a block of a file brings.
const SPAN: usize = 4096;

/// Creates an aggregator that lists every instrument of `feed`, with a fixed seed.
///
/// # Panics
/// If the feed has more instruments than can be listed.
pub fn aggregator(feed: &Feed, stripes: usize) -> Aggregator {
    let config = Config::default().with_seed(1).with_stripes(stripes).with_max_instruments(feed.ids.len());
    let aggregator = Aggregator::new(config);
    for id in &feed.ids {
        aggregator.list(id, None).expect("ids are valid and few enough");
    }
    aggregator
}

/// Returns the handle of each tick's instrument. A caller stores it in place of the id.
///
/// # Panics
/// If an instrument is not listed.
pub fn handles(aggregator: &Aggregator, quotes: &[(&str, Tick)]) -> Vec<Handle> {
    quotes.iter().map(|(id, _)| aggregator.resolve(id).expect("every instrument of a feed is listed")).collect()
}

/// Returns the ticks as a caller has them who resolved the ids once. The same ids have the same handles in every
/// aggregator that lists them in one order with one seed.
pub fn by_handle(handles: &[Handle], quotes: &[(&str, Tick)]) -> Vec<(Handle, Tick)> {
    handles.iter().zip(quotes).map(|(handle, (_, tick))| (*handle, *tick)).collect()
}

/// Records ticks one by one, by string id.
pub fn record_by_id(aggregator: &Aggregator, quotes: &[(&str, Tick)]) {
    let mut accepted = 0;
    for span in batches(quotes, SPAN) {
        let now = Feed::now(span);
        for (id, tick) in span {
            accepted += u64::from(aggregator.record(id, tick, now).is_accepted());
        }
    }
    black_box(accepted);
}

/// Records ticks one by one, by handle.
pub fn record_by_handle(aggregator: &Aggregator, ticks: &[(Handle, Tick)]) {
    let mut accepted = 0;
    for span in batches(ticks, SPAN) {
        let now = now(span);
        for (handle, tick) in span {
            accepted += u64::from(aggregator.record_at(*handle, tick, now).is_accepted());
        }
    }
    black_box(accepted);
}

/// Records ticks in batches of at most `len`, by string id.
pub fn record_batches(aggregator: &Aggregator, quotes: &[(&str, Tick)], len: usize) {
    for batch in batches(quotes, len) {
        black_box(aggregator.record_batch(batch, Feed::now(batch)));
    }
}

/// Records ticks in batches of at most `len`, by handle.
pub fn record_batches_by_handle(aggregator: &Aggregator, ticks: &[(Handle, Tick)], len: usize) {
    for batch in batches(ticks, len) {
        black_box(aggregator.record_batch_at(batch, now(batch)));
    }
}

fn now(batch: &[(Handle, Tick)]) -> Timestamp {
    batch.last().map_or(Timestamp::EPOCH, |(_, tick)| tick.time)
}

/// Creates an aggregator that lists every instrument of `feed`, with the candles of the 31 minutes before the first tick.
///
/// # Panics
/// If the feed has more instruments than can be listed.
pub fn filled(feed: &Feed) -> Aggregator {
    let ours = aggregator(feed, Config::DEFAULT_STRIPES);
    let (_, first) = feed.quotes.first().expect("a feed has ticks");
    for minutes_before in (1..=31).rev() {
        let at = first.time.saturating_add(-60_000_000 * minutes_before);
        for (n, id) in feed.ids.iter().enumerate() {
            let _ = ours.record(id, &Tick::new(at, 100.0 + (n % 7) as f64), at);
        }
    }
    ours
}
