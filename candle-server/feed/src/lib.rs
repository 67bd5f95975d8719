//! The feed part of a candle server: reads feeds, decodes their messages, and records quotes in the engine.
//!
//! | module | job |
//! |---|---|
//! | [`message`] | decodes frames into quotes and catalogue messages |
//! | [`url`] | parses feed URLs |
//! | [`source`] | reads live feeds, files and standard input, and generates the demo |
//! | `batch` | a batch of ticks, named by id or by handle |
//! | [`intake`] | turns quotes into ticks and records them |
//! | [`partner`] | the rules of a partner: a feed that announces its instruments |
//! | `dedup` | drops quotes that the previous feed already delivered |
//! | `expiring` | a queue whose entries expire |
//! | `supervisor` | reads one feed at a time, reconnects it and switches feeds ([`run`]) |
//! | `probe` | checks if the first feed has recovered |
//! | [`backoff`] | computes the wait before a reconnect |
//!
//! A source sends quotes to the intake, which records them in a [`candle_engine::Engine`]. This crate contains neither
//! an HTTP server nor a store.
//!
//! ```
//! use std::sync::Arc;
//!
//! use candle_core::Aggregator;
//! use candle_engine::Engine;
//! use candle_engine::clock::{Clock, ClockMode};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let path = std::env::temp_dir().join(format!("candle-feed-{}.ndjson", std::process::id()));
//! std::fs::write(&path, "{\"id\": \"BTC\", \"price\": 87232.0, \"timestamp\": 1742944020}\n").unwrap();
//! let feed = format!("file:{}", path.display()).parse().unwrap();
//!
//! let engine = Arc::new(Engine::new(Aggregator::default(), Clock::new(ClockMode::Feed)));
//! engine.start();
//! candle_feed::run(Arc::clone(&engine), &[feed]).await;
//! assert_eq!(engine.aggregator.history("BTC").unwrap().last_price(), Some(87_232.0));
//! # std::fs::remove_file(path).unwrap();
//! # });
//! ```
#![forbid(unsafe_code)]

pub mod backoff;
mod batch;
mod dedup;
mod expiring;
pub mod intake;
pub mod message;
pub mod partner;
mod probe;
#[cfg(test)]
mod simulation;
pub mod source;
mod supervisor;
pub mod url;

pub use supervisor::{run, run_with, watch_external};
