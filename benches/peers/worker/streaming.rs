//! Ticks as they come: each contender has readable candles after every tick or batch.

use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use benches::common::{
    Clock, Feed, aggregator, batches, by_handle, handles, record_batches, record_batches_by_handle, record_by_handle,
    record_by_id,
};
use benches::rivals::{DashMapOwnLayout, PlainCandle};
use candle_core::{Aggregator, Config, Handle, Ring, Rules, Tick, Timestamp};

use crate::candles::{Collector, Row, Take, bars};

/// A store of candles that takes ticks as they come.
trait Contender {
    /// Records these ticks of the feed.
    fn record(&mut self, feed: &Feed, range: Range<usize>);

    /// Returns the candles of an instrument that are still stored, oldest first.
    fn bars(&self, place: usize, id: &str, now: Timestamp, take: Take) -> Vec<PlainCandle>;
}

/// Returns the time of one pass.
pub(crate) fn time(feed: &Feed, way: &str) -> Option<Duration> {
    let mut contender = contender(feed, way)?;
    let clock = Clock::from_env();
    let start = clock.now();
    contender.record(feed, 0..feed.quotes.len());
    Some(clock.since(start))
}

/// Returns the candles of one pass. Closed candles are read before they leave the window.
pub(crate) fn check(feed: &Feed, way: &str) -> Option<Vec<Row>> {
    let mut contender = contender(feed, way)?;
    let mut collector = Collector::new(feed.ids.len());
    let mut first = 0;
    let collect = |collector: &mut Collector, contender: &dyn Contender, now, take| {
        for (place, id) in feed.ids.iter().enumerate() {
            collector.add(place, id, contender.bars(place, id, now, take).into_iter());
        }
    };
    for batch in batches(&feed.quotes, 1 << 16) {
        contender.record(feed, first..first + batch.len());
        first += batch.len();
        if collector.is_due(Feed::now(batch)) {
            collect(&mut collector, &*contender, Feed::now(batch), Take::Closed);
        }
    }
    collect(&mut collector, &*contender, Feed::now(&feed.quotes), Take::All);
    Some(collector.into_rows())
}

fn contender(feed: &Feed, way: &str) -> Option<Box<dyn Contender>> {
    if let Some(way) = Way::named(way) {
        let store = aggregator(feed, Config::DEFAULT_STRIPES);
        let ticks = match way {
            Way::Handle | Way::Handles(_) => by_handle(&handles(&store, &feed.quotes), &feed.quotes),
            Way::Id | Way::Batches(_) => Vec::new(),
        };
        return Some(Box::new(Ours { store, ticks, way }));
    }
    match way {
        "ring" if feed.ids.len() == 1 => Some(Box::new(One(Ring::default()))),
        "layout" => Some(Box::new(DashMapOwnLayout::new(&feed.ids))),
        #[cfg(feature = "rivals-agpl")]
        "trade_aggregation" => Some(agpl::contender(feed)),
        _ => None,
    }
}

/// A way into an aggregator; batches by their length.
#[derive(Clone, Copy)]
enum Way {
    Id,
    Handle,
    Batches(usize),
    Handles(usize),
}

impl Way {
    fn named(name: &str) -> Option<Self> {
        match name.split_once('-') {
            None if name == "id" => Some(Self::Id),
            None if name == "handle" => Some(Self::Handle),
            Some(("batch", len)) => len.parse().ok().map(Self::Batches),
            Some(("handles", len)) => len.parse().ok().map(Self::Handles),
            _ => None,
        }
    }
}

struct Ours {
    store: Aggregator,
    /// The ticks of the whole feed, for the ways by handle.
    ticks: Vec<(Handle, Tick)>,
    way: Way,
}

impl Contender for Ours {
    fn record(&mut self, feed: &Feed, range: Range<usize>) {
        match self.way {
            Way::Id => record_by_id(&self.store, &feed.quotes[range]),
            Way::Handle => record_by_handle(&self.store, &self.ticks[range]),
            Way::Batches(len) => record_batches(&self.store, &feed.quotes[range], len),
            Way::Handles(len) => record_batches_by_handle(&self.store, &self.ticks[range], len),
        }
    }

    fn bars(&self, _: usize, id: &str, now: Timestamp, take: Take) -> Vec<PlainCandle> {
        self.store.history(id).map_or_else(Vec::new, |history| bars(&history.ring, now, take).collect())
    }
}

struct One(Ring);

impl Contender for One {
    fn record(&mut self, feed: &Feed, range: Range<usize>) {
        for batch in batches(&feed.quotes[range], 4096) {
            let validator = Rules::default().at(Feed::now(batch));
            for (_, tick) in batch {
                let _ = black_box(self.0.record(tick, &validator));
            }
        }
    }

    fn bars(&self, _: usize, _: &str, now: Timestamp, take: Take) -> Vec<PlainCandle> {
        bars(&self.0, now, take).collect()
    }
}

impl Contender for DashMapOwnLayout {
    fn record(&mut self, feed: &Feed, range: Range<usize>) {
        for (id, tick) in &feed.quotes[range] {
            Self::record(self, id, tick);
        }
    }

    fn bars(&self, _: usize, id: &str, now: Timestamp, take: Take) -> Vec<PlainCandle> {
        let forming = now.as_micros().div_euclid(60_000_000);
        let mut bars = Self::candles(self, id);
        bars.retain(|bar| take == Take::All || bar.minute < forming);
        bars
    }
}

#[cfg(feature = "rivals-agpl")]
mod agpl {
    use benches::rivals::{DashMapTradeAggregation, Ohlcv, Series};

    use super::{Contender, Feed, PlainCandle, Range, Take, Timestamp};
    use crate::candles::{dated, minutes};

    /// One series without a map, or a map of series.
    pub(super) fn contender(feed: &Feed) -> Box<dyn Contender> {
        let minutes = minutes(feed);
        if feed.ids.len() == 1 {
            return Box::new(One { series: Series::default(), minutes });
        }
        Box::new(Many { map: DashMapTradeAggregation::new(&feed.ids), minutes })
    }

    struct One {
        series: Series<Ohlcv>,
        minutes: Vec<Vec<i64>>,
    }

    impl Contender for One {
        fn record(&mut self, feed: &Feed, range: Range<usize>) {
            for (_, tick) in &feed.quotes[range] {
                self.series.record(tick);
            }
        }

        fn bars(&self, place: usize, _: &str, now: Timestamp, take: Take) -> Vec<PlainCandle> {
            still_stored(self.series.candles(), &self.minutes[place], now, take)
        }
    }

    struct Many {
        map: DashMapTradeAggregation,
        minutes: Vec<Vec<i64>>,
    }

    impl Contender for Many {
        fn record(&mut self, feed: &Feed, range: Range<usize>) {
            for (id, tick) in &feed.quotes[range] {
                self.map.record(id, tick);
            }
        }

        fn bars(&self, place: usize, id: &str, now: Timestamp, take: Take) -> Vec<PlainCandle> {
            still_stored(self.map.candles(id), &self.minutes[place], now, take)
        }
    }

    /// Dates the newest candles of a series, of which older ones are no longer stored.
    fn still_stored(bars: Vec<PlainCandle>, minutes: &[i64], now: Timestamp, take: Take) -> Vec<PlainCandle> {
        let forming = now.as_micros().div_euclid(60_000_000);
        let past = &minutes[..minutes.partition_point(|minute| *minute <= forming)];
        let stored = &past[past.len().saturating_sub(bars.len())..];
        let mut bars = dated(bars, stored);
        bars.retain(|bar| take == Take::All || bar.minute < forming);
        bars
    }
}
