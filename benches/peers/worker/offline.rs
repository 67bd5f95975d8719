//! All ticks at once: from memory or a file to the candles of every minute.

use std::borrow::Cow;
use std::fs;
use std::time::Duration;

use benches::common::{Clock, Feed, batches};
use candle_core::{Aggregator, Config, RecordContext, Tick, Unlisted};
use candle_server::feed::message::{Message, decode};

use crate::Input;
use crate::candles::{Collector, Row, Take};
use crate::prepare::parse;

/// The number of ticks in a batch.
const BATCH: usize = 4096;

/// Runs an offline way, and returns its time and its candles. Returns `None` if `way` is no offline way.
pub(crate) fn run(input: &Input, way: &str) -> Option<(Duration, Vec<Row>)> {
    let clock = Clock::from_env();
    let start = clock.now();
    let rows = match way {
        "memory" => from_memory(&input.feed),
        "csv" => {
            let text = fs::read_to_string(&input.csv).expect("`prepare` wrote the file");
            from_lines(text.lines().skip(1).filter_map(parse))
        }
        "ndjson" => {
            let text = fs::read_to_string(&input.ndjson).expect("`prepare` wrote the file");
            from_lines(text.lines().filter_map(quote))
        }
        #[cfg(feature = "rivals-agpl")]
        "trade_aggregation-memory" | "trade_aggregation-csv" => return agpl::run(input, way),
        _ => return None,
    };
    Some((clock.since(start), rows))
}

fn store() -> Aggregator {
    Aggregator::new(Config::default().with_seed(1))
}

fn record(store: &Aggregator, batch: &[(&str, Tick)]) {
    let context = RecordContext { unlisted: Unlisted::List, ..RecordContext::from(Feed::now(batch)) };
    let outcomes = store.record_batch(batch, context);
    assert_eq!(outcomes.rejected(), 0, "every trade is valid");
}

fn from_memory(feed: &Feed) -> Vec<Row> {
    let store = store();
    let mut collector = Collector::new(feed.ids.len());
    for batch in batches(&feed.quotes, BATCH) {
        record(&store, batch);
        if collector.is_due(Feed::now(batch)) {
            collector.read(&store, &feed.ids, Feed::now(batch), Take::Closed);
        }
    }
    collector.read(&store, &feed.ids, Feed::now(&feed.quotes), Take::All);
    collector.into_rows()
}

/// Records ticks as they are parsed, in batches.
fn from_lines<'a>(ticks: impl Iterator<Item = (&'a str, Tick)>) -> Vec<Row> {
    let store = store();
    let mut reader = Reader::default();
    let mut block = Vec::with_capacity(BATCH);
    for tick in ticks {
        block.push(tick);
        if block.len() == BATCH {
            reader.record(&store, &block);
            block.clear();
        }
    }
    reader.record(&store, &block);
    reader.finish(&store)
}

/// Closed candles of a store that lists instruments as they come.
#[derive(Default)]
struct Reader {
    collector: Option<Collector>,
    last: Option<candle_core::Timestamp>,
}

impl Reader {
    fn record(&mut self, store: &Aggregator, block: &[(&str, Tick)]) {
        for batch in batches(block, BATCH) {
            record(store, batch);
            let now = Feed::now(batch);
            self.last = Some(now);
            if self.collector().is_due(now) {
                let ids = ids(store);
                self.collector().read(store, &ids, now, Take::Closed);
            }
        }
    }

    fn collector(&mut self) -> &mut Collector {
        self.collector.get_or_insert_with(|| Collector::new(Config::default().max_instruments()))
    }

    fn finish(mut self, store: &Aggregator) -> Vec<Row> {
        let Some(now) = self.last else { return Vec::new() };
        let ids = ids(store);
        self.collector().read(store, &ids, now, Take::All);
        self.collector.map_or_else(Vec::new, Collector::into_rows)
    }
}

/// Returns the ids of a store. Every input lists all its instruments before closed candles are read for the first time.
fn ids(store: &Aggregator) -> Vec<String> {
    store.page(None, "", store.len()).into_iter().map(|summary| summary.id.as_str().to_owned()).collect()
}

/// Reads a line of JSON by the decoder of the server.
fn quote(line: &str) -> Option<(&str, Tick)> {
    let mut tick = None;
    decode(line.as_bytes(), |message| {
        if let Ok(Message::Quote(quote)) = message
            && let (Cow::Borrowed(id), Some(time)) = (quote.id, quote.time)
        {
            tick = Some((id, Tick::new(time, quote.price).with_size(quote.size).with_seq(quote.seq.unwrap_or(0))));
        }
    });
    tick
}

#[cfg(feature = "rivals-agpl")]
mod agpl {
    use std::time::Duration;

    use benches::common::Clock;
    use benches::rivals::all_candles;
    use trade_aggregation::{Trade, load_trades_from_csv};

    use crate::Input;
    use crate::candles::{Row, dated, minutes};

    /// One series only: the crate knows no instruments.
    pub(super) fn run(input: &Input, way: &str) -> Option<(Duration, Vec<Row>)> {
        let [id] = &input.feed.ids[..] else { return None };
        let trade = |(_, tick): &(&str, candle_core::Tick)| Trade {
            timestamp: tick.time.as_micros() / 1_000,
            price: tick.price,
            size: tick.size,
        };
        let known: Vec<Trade> = input.feed.quotes.iter().map(trade).collect();
        let clock = Clock::from_env();
        let start = clock.now();
        let bars = if way == "trade_aggregation-csv" {
            let path = input.csv.to_str().expect("the path is text");
            all_candles(&load_trades_from_csv(path).expect("`prepare` wrote the file"))
        } else {
            all_candles(&known)
        };
        let time = clock.since(start);
        let rows = dated(bars, &minutes(&input.feed)[0]).into_iter().map(|bar| (id.clone(), bar));
        Some((time, rows.collect()))
    }
}
