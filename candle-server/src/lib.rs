//! A price stream in, one-minute candles out over HTTP.
#![forbid(unsafe_code)]

pub mod feed;
pub mod message;
