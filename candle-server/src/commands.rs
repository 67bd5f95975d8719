//! The subcommands of the binary.

pub mod health;
#[cfg(feature = "store")]
pub mod store;
