//! The four ways to record ticks in `candle-core`.

use std::hint::black_box;

use candle_core::{Aggregator, Config, Handle, Minute, Tick, Timestamp};

use super::feed::Feed;

/// The number of ticks with one `now`: one read of a busy socket, or one block of a file.
const TICKS_PER_NOW: usize = 4096;

/// Creates an aggregator with a fixed seed that lists every instrument of `feed`.
///
/// # Panics
/// Panics if the feed has more instruments than can be listed.
pub fn aggregator(feed: &Feed, stripes: usize) -> Aggregator {
    let config = Config::default().with_seed(1).with_stripes(stripes).with_max_instruments(feed.ids.len());
    let aggregator = Aggregator::new(config);
    for id in &feed.ids {
        aggregator.list(id, None).expect("ids are valid and few enough");
    }
    aggregator
}

/// Returns the handle of each tick's instrument, which a caller stores in place of the id.
///
/// # Panics
/// Panics if an instrument is not listed.
pub fn handles(aggregator: &Aggregator, quotes: &[(&str, Tick)]) -> Vec<Handle> {
    quotes.iter().map(|(id, _)| aggregator.resolve(id).expect("every instrument of a feed is listed")).collect()
}

/// Records ticks one by one, by string id.
pub fn record_by_id(aggregator: &Aggregator, quotes: &[(&str, Tick)]) {
    let mut accepted = 0;
    for span in quotes.chunks(TICKS_PER_NOW) {
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
    for (handles, span) in handles.chunks(TICKS_PER_NOW).zip(quotes.chunks(TICKS_PER_NOW)) {
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

/// Creates an aggregator that lists every instrument of `feed`, with 31 minutes of candles each.
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
