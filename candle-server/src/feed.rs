//! The feed side: reads quotes from feeds and records them in the engine.
//!
//! - [`url`]: parses feed URLs.
//! - [`source`]: the connections of live feeds, files and standard input, and the demo.
//! - [`intake`]: turns quotes into ticks and records them.
//! - [`partner`]: the rules of a partner, which announces its instruments.
//! - `dedup`: drops quotes that the previous feed already delivered.
//! - `supervisor`: reads one feed at a time and switches feeds on failure.
//! - `probe`: checks if the first feed has recovered.
//! - [`backoff`]: the wait before a reconnect.

pub mod backoff;
mod dedup;
mod expiring;
pub mod intake;
pub mod partner;
mod probe;
#[cfg(test)]
mod simulation;
pub mod source;
mod supervisor;
pub mod url;

pub use candle_engine::feeds::{failover, health, rate};
pub use supervisor::{run, run_with, watch_external};
