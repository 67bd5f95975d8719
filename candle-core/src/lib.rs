//! One-minute candles of many instruments.
#![forbid(unsafe_code)]

mod time;

pub use time::{Arrival, Minute, OutOfRange, Timestamp};
