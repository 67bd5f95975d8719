//! Writes histories as JSON, and caches the text that all reads share.
//!
//! A history has 30 candles. 29 of them are finished and change only if a late tick revises one. Their text is written
//! once a minute for each instrument that clients read. Each read reuses that text, and writes only the forming candle,
//! the views and the time. A read compares the [`Version`](candle_core::Version) of the cached text with the current
//! version under the lock of the instrument, so that a response never contains outdated text.
//!
//! - `cached`: the cached text of one history
//! - `cache`: the cache, which stores the histories of the most viewed instruments

mod cache;
mod cached;

pub(crate) use cache::{DEFAULT_CAPACITY, HistoryCache};
pub(crate) use cached::{CachedHistory, ReadContext};
