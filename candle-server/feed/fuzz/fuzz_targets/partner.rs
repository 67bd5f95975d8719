//! Fuzzes the partner rules, and compares the result with a simple model.
#![no_main]

#[allow(dead_code, reason = "the other target uses the rest")]
#[path = "../../tests/fuzzed/bytes.rs"]
mod bytes;

libfuzzer_sys::fuzz_target!(|script: &[u8]| bytes::partner(script));
