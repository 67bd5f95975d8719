//! The claims of the crate's front page, each against the obvious program or as a law.
#![allow(
    clippy::unwrap_used,
    clippy::needless_for_each,
    clippy::similar_names,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test that meets the unexpected fails, and its numbers are small"
)]

mod batch;
mod bytes;
mod catalogue;
mod fuzzed;
mod inputs;
mod memory;
mod merge;
mod no_allocation;
mod oracle;
mod order;
mod popularity;
mod snapshot;
#[cfg(feature = "serde")]
mod stored;
mod stress;
mod version;
