//! Code that the benchmarks share: seeded ticks, interleaved measurements, and the rivals of candle-core.

pub mod common;
pub mod rivals;
