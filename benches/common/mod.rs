//! What every benchmark needs: the same ticks for all, and a clock that favours none.

mod feed;
mod ours;
mod paired;
mod prng;

pub use feed::{Feed, PASS, Skew};
pub use ours::{aggregator, filled, handles, record_batches, record_batches_by_handle, record_by_handle, record_by_id};
pub use paired::{Pairs, at_once, median};
pub use prng::Prng;

/// Criterion's settings: shorter than its own, since ratios are what we go by (see `ratios.rs`).
pub fn settings() -> criterion::Criterion {
    use std::time::Duration;
    criterion::Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10)
}
