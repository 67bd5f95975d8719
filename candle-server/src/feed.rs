//! The feed side: where quotes come from, and their way into the engine.

pub mod backoff;
mod deletions;
pub mod demo;
mod grumble;
mod high_water;
pub mod intake;
pub mod lines;
pub mod pace;
pub mod partner;
mod probe;
mod run;
#[cfg(test)]
mod simulation;
mod source;
pub mod url;
mod waiting;
pub mod websocket;

pub use candle_engine::feeds::{failover, health, rate};

pub use run::run;
