//! A price stream in, one-minute candles out over HTTP.
#![forbid(unsafe_code)]

pub mod feed;
pub mod http;
pub mod message;
pub mod problem;
pub mod route;
