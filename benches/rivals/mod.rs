//! The rivals, one file each, every one used as its documentation says and doing the same work: open, high, low, close,
//! volume and count of a minute, 30 minutes kept. None of them takes late ticks in order, judges prices or counts
//! outcomes, so each does a little less than `candle-core`.

mod bar;
mod bound;
mod dashmap_own_layout;
mod dashmap_ring;
mod mutex_hashmap;
#[cfg(feature = "rivals-agpl")]
mod trade_aggregation;

pub use bar::{Bar, KEPT_MINUTES, Ring};
pub use bound::Bound;
pub use dashmap_own_layout::{DashMapOwnLayout, DashMapOwnLayoutSip};
pub use dashmap_ring::DashMapRing;
pub use mutex_hashmap::MutexHashMap;
#[cfg(feature = "rivals-agpl")]
pub use trade_aggregation::{DashMapTradeAggregation, Ohlc, Ohlcv, Series};
