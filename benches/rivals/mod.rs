//! The rivals, one file each, used as their documentation recommends.
//!
//! Each computes open, high, low, close, volume and count of each minute and stores 30 minutes. None of them orders late
//! ticks, validates prices or counts outcomes, so each does a little less than `candle-core`.

mod bound;
mod dashmap_own_layout;
mod dashmap_ring;
mod mutex_hashmap;
mod plain;
#[cfg(feature = "rivals-agpl")]
mod trade_aggregation;

pub use bound::Bound;
pub use dashmap_own_layout::{DashMapOwnLayout, DashMapOwnLayoutSip};
pub use dashmap_ring::DashMapRing;
pub use mutex_hashmap::MutexHashMap;
pub use plain::{PlainCandle, PlainRing, WINDOW_MINUTES};
#[cfg(feature = "rivals-agpl")]
pub use trade_aggregation::{DashMapTradeAggregation, Ohlc, Ohlcv, Series, all_candles};
