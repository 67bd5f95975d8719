//! A `DashMap` with the layout of `candle-core`: the newest candle in the table, the closed ones boxed. Takes no late ticks.

use after::InstrumentId;
use dashmap::DashMap;

use crate::data::{Feed, Row};

#[derive(Clone, Copy, Default)]
struct Candle {
    minute: i64,
    prices: [f64; 4],
    volume: f64,
    count: u32,
}

#[derive(Default)]
struct Series {
    newest: Candle,
    closed: Box<[Candle; 30]>,
}

pub(crate) struct Layout(DashMap<InstrumentId, Series, foldhash::fast::RandomState>);

impl Layout {
    pub(crate) fn new(ids: &[String]) -> Self {
        let entry = |id: &String| (InstrumentId::new(id).expect("the id is valid"), Series::default());
        Self(ids.iter().map(entry).collect())
    }

    #[inline(never)]
    pub(crate) fn record(&self, feed: &Feed) {
        for (id, row) in feed.by_id() {
            if let Some(mut series) = self.0.get_mut(id.as_bytes()) {
                series.record(row);
            }
        }
    }
}

impl Series {
    #[inline]
    fn record(&mut self, row: &Row) {
        let minute = row.micros.div_euclid(60_000_000);
        let newest = &mut self.newest;
        if newest.count > 0 && newest.minute == minute {
            let [_, high, low, close] = &mut newest.prices;
            *high = if row.price > *high { row.price } else { *high };
            *low = if row.price < *low { row.price } else { *low };
            *close = row.price;
            newest.volume += row.size;
            newest.count += 1;
            return;
        }
        if newest.count > 0 {
            self.closed[newest.minute.rem_euclid(30) as usize] = *newest;
        }
        *newest = Candle { minute, prices: [row.price; 4], volume: row.size, count: 1 };
    }
}
