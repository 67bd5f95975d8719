//! The subcommands.

pub mod health;
#[cfg(feature = "store")]
pub mod store;
