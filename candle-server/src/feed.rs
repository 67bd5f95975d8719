//! The feed side: where quotes come from, and their way into the engine.

pub mod backoff;
mod dedup;
mod deletions;
mod expiring;
pub mod failover;
pub mod health;
pub mod intake;
pub mod pace;
pub mod partner;
mod probe;
pub mod rate;
#[cfg(test)]
mod simulation;
pub mod source;
mod supervisor;
mod throttle;
pub mod url;

pub use source::{demo, lines, websocket};
pub use supervisor::{run, watch_external};
