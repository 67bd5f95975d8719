//! Seeded ticks and interleaved measurements.

mod feed;
mod ours;
mod paired;
mod prng;

pub use feed::{Feed, PASS, Skew};
pub use ours::{aggregator, filled, handles, record_batches, record_batches_by_handle, record_by_handle, record_by_id};
pub use paired::{Pairs, at_once, median};
pub use prng::Prng;

/// Returns settings of Criterion with shorter times than its defaults: the goals are ratios, see `ratios`.
pub fn settings() -> criterion::Criterion {
    use std::time::Duration;
    criterion::Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10)
}
