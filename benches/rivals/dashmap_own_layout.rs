//! A `DashMap` given `candle-core`'s own layout: the newest candle in the table, the closed ones boxed.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};

use candle_core::{InstrumentId, Tick};
use dashmap::DashMap;

use super::bar::{Bar, Ring, minute_of};

/// Keyed by an id of three words without a pointer, and hashed by foldhash: the best we know to make of it.
pub type DashMapOwnLayout = OwnLayout<InstrumentId, foldhash::fast::RandomState>;

/// Keyed by a string and hashed by default.
pub type DashMapOwnLayoutSip = OwnLayout<String, RandomState>;

/// The map, by kind of key and hasher.
#[derive(Debug)]
pub struct OwnLayout<K: Eq + Hash, S: Clone + BuildHasher>(DashMap<K, Series, S>);

#[derive(Debug, Default)]
struct Series {
    newest: Bar,
    closed: Box<Ring>,
}

impl<K: Eq + Hash + Key, S: Clone + BuildHasher + Default> OwnLayout<K, S> {
    /// All of these, without candles yet.
    pub fn new(ids: &[String]) -> Self {
        Self(ids.iter().map(|id| (K::of(id), Series::default())).collect())
    }

    /// Folds a tick in.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick) {
        if let Some(mut series) = self.0.get_mut(K::borrowed(id)) {
            series.record(tick);
        } else {
            self.0.entry(K::of(id)).or_default().record(tick);
        }
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
            self.newest = Bar::opened(minute, tick);
        }
    }
}

/// A kind of key that can be looked up by text.
pub trait Key: Borrow<Self::Borrowed> {
    /// What a look-up takes.
    type Borrowed: ?Sized + Eq + Hash;

    /// The key of an id.
    fn of(id: &str) -> Self;

    /// The id as a look-up takes it.
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
