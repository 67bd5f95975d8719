//! The `candle-server` binary.
fn main() {}
