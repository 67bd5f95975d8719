//! Seeded tick generators, a paired clock, and the rivals, which the benchmarks share.

pub mod common;
pub mod rivals;
