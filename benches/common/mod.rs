//! What every benchmark needs: the same ticks for all, and a clock that favours none.

mod feed;
mod ours;
mod paired;
mod prng;

pub use feed::{Feed, PASS, Skew};
pub use ours::{aggregator, handles, record_batches, record_by_handle, record_by_id};
pub use paired::{Pairs, median};
pub use prng::Prng;
