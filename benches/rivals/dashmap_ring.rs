//! A `DashMap` of rings with string keys and the default hasher: a usual first solution.

use candle_core::Tick;
use dashmap::DashMap;

use super::plain::PlainRing;

/// A concurrent map whose values are whole rings.
#[derive(Debug, Default)]
pub struct DashMapRing(DashMap<String, PlainRing>);

impl DashMapRing {
    /// Creates the rings of these ids, without candles.
    pub fn new(ids: &[String]) -> Self {
        Self(ids.iter().map(|id| (id.clone(), PlainRing::default())).collect())
    }

    /// Adds a tick. `get_mut` comes first, because `entry` would allocate a key for each tick.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick) {
        if let Some(mut ring) = self.0.get_mut(id) {
            ring.update(tick);
        } else {
            self.0.entry(id.to_owned()).or_default().update(tick);
        }
    }
}
