//! Seeded ticks and interleaved measurements.

mod feed;
mod ours;
mod paired;
mod prng;
mod trades;

pub use feed::{Arrivals, Feed, PASS, Skew, batches};
pub use ours::{
    aggregator, by_handle, filled, handles, record_batches, record_batches_by_handle, record_by_handle, record_by_id,
};
pub use paired::{Clock, Pairs, at_once, median};
pub use prng::Prng;
pub use trades::Trades;

/// Returns settings of Criterion with shorter times than its defaults: the goals are ratios, see `ratios`.
pub fn settings() -> criterion::Criterion {
    use std::time::Duration;
    criterion::Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10)
}
