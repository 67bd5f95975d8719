//! The life of a partner, against the obvious program.
#![no_main]

#[allow(dead_code, reason = "the other targets use the rest")]
#[path = "../../tests/fuzzed/bytes.rs"]
mod bytes;

libfuzzer_sys::fuzz_target!(|script: &[u8]| bytes::partner(script));
