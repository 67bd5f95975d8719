//! `DashMap<String, ring>` with its default hasher: what a Rust programmer writes first.

use candle_core::Tick;
use dashmap::DashMap;

use super::bar::Ring;

/// Rings in a concurrent map, each value the whole ring.
#[derive(Debug, Default)]
pub struct DashMapRing(DashMap<String, Ring>);

impl DashMapRing {
    /// All of these, without candles yet.
    pub fn new(ids: &[String]) -> Self {
        Self(ids.iter().map(|id| (id.clone(), Ring::default())).collect())
    }

    /// Folds a tick in. `get_mut` first, since `entry` would allocate a key for each tick.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick) {
        if let Some(mut ring) = self.0.get_mut(id) {
            ring.update(tick);
        } else {
            self.0.entry(id.to_owned()).or_default().update(tick);
        }
    }
}
