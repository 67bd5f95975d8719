//! A `DashMap` with the layout of `candle-core`: the newest candle in the table, the closed candles in a box.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};

use candle_core::{InstrumentId, Tick};
use dashmap::DashMap;

use super::plain::{PlainCandle, PlainRing, minute_of};

/// Keys are ids of three words without a pointer, hashed by foldhash: the fastest variant that we know.
pub type DashMapOwnLayout = OwnLayout<InstrumentId, foldhash::fast::RandomState>;

/// Keys are strings, hashed by the default hasher.
pub type DashMapOwnLayoutSip = OwnLayout<String, RandomState>;

/// The map, by kind of key and hasher.
#[derive(Debug)]
pub struct OwnLayout<K: Eq + Hash, S: Clone + BuildHasher>(DashMap<K, Series, S>);

#[derive(Debug, Default)]
struct Series {
    newest: PlainCandle,
    closed: Box<PlainRing>,
}

impl<K: Eq + Hash + Key, S: Clone + BuildHasher + Default> OwnLayout<K, S> {
    /// Creates the series of these ids, without candles.
    pub fn new(ids: &[String]) -> Self {
        Self(ids.iter().map(|id| (K::of(id), Series::default())).collect())
    }

    /// Adds a tick.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick) {
        if let Some(mut series) = self.0.get_mut(K::borrowed(id)) {
            series.record(tick);
        } else {
            self.0.entry(K::of(id)).or_default().record(tick);
        }
    }

    /// Returns the candles of an instrument, oldest first.
    pub fn candles(&self, id: &str) -> Vec<PlainCandle> {
        let Some(series) = self.0.get(K::borrowed(id)) else { return Vec::new() };
        let newest = Some(&series.newest).filter(|candle| candle.count > 0);
        let mut candles: Vec<PlainCandle> = series.closed.candles().chain(newest).copied().collect();
        candles.sort_by_key(|candle| candle.minute);
        candles
    }
}

impl Series {
    #[inline]
    fn record(&mut self, tick: &Tick) {
        let minute = minute_of(tick);
        if self.newest.count > 0 && self.newest.minute == minute {
            self.newest.update(tick);
        } else {
            if self.newest.count > 0 {
                self.closed.put(self.newest);
            }
            self.newest = PlainCandle::opened(minute, tick);
        }
    }
}

/// A key that can be looked up by text.
pub trait Key: Borrow<Self::Borrowed> {
    /// The argument of a look-up.
    type Borrowed: ?Sized + Eq + Hash;

    /// Returns the key of an id.
    fn of(id: &str) -> Self;

    /// Returns the argument that looks up an id.
    fn borrowed(id: &str) -> &Self::Borrowed;
}

impl Key for String {
    type Borrowed = str;

    fn of(id: &str) -> Self {
        id.to_owned()
    }

    #[inline]
    fn borrowed(id: &str) -> &str {
        id
    }
}

impl Key for InstrumentId {
    type Borrowed = [u8];

    fn of(id: &str) -> Self {
        Self::new(id).expect("the benchmarks' ids are valid")
    }

    #[inline]
    fn borrowed(id: &str) -> &[u8] {
        id.as_bytes()
    }
}
