//! Histories as JSON, with a cache of the text that is equal in every read.
//!
//! Of 30 candles, 29 are finished and change only if a late tick revises one. Their text is written once a minute for
//! each instrument that is read. A read shares that text and writes the forming candle, the views and the time. The
//! [`Version`](candle_core::Version) of the core proves, under the lock of the instrument, that the text is current.
//!
//! - `cached`: the text of one history
//! - `cache`: the texts of the instruments that are read most

mod cache;
mod cached;

pub(crate) use cache::{DEFAULT_CAPACITY, HistoryCache};
pub(crate) use cached::{CachedHistory, ReadContext};
