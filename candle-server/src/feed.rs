//! The feed side: where quotes come from, and their way into the engine.

pub mod backoff;
mod deletions;
pub mod demo;
pub mod failover;
mod grumble;
pub mod health;
mod high_water;
pub mod intake;
pub mod lines;
pub mod pace;
pub mod partner;
mod probe;
pub mod rate;
mod run;
#[cfg(test)]
mod simulation;
mod source;
pub mod url;
mod waiting;
pub mod websocket;

pub use run::run;
