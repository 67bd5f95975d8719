//! Tests of the guarantees on the crate's front page, against an oracle or as a law.
#![allow(
    clippy::unwrap_used,
    clippy::needless_for_each,
    clippy::similar_names,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "an unexpected value fails the test, and the numbers are small"
)]

mod aggregator;
mod batch;
mod bytes;
mod drain;
mod fuzz_inputs;
#[cfg(feature = "serde")]
mod golden;
mod memory;
mod merge;
mod no_allocation;
mod oracle;
mod oracle_aggregator;
mod order;
mod popularity;
mod record_all;
mod roll_up;
#[cfg(feature = "serde")]
mod serialised;
mod snapshot;
#[cfg(feature = "serde")]
mod stored_form;
mod stress;
mod ticks;
mod version;
