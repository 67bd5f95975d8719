//! The feed side: where quotes come from, and their way into the market.

pub mod backoff;
mod deletions;
pub mod demo;
mod grumble;
pub mod intake;
pub mod lines;
pub mod pace;
pub mod partner;
mod run;
pub mod url;
mod waiting;
pub mod websocket;

pub use run::run;
