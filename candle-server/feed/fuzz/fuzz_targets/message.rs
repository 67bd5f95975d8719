//! Frames into the decoder: it never panics, and its template says what `serde_json` says.
#![no_main]

#[allow(dead_code, reason = "the other targets use the rest")]
#[path = "../../tests/fuzzed/bytes.rs"]
mod bytes;

libfuzzer_sys::fuzz_target!(|frame: &[u8]| bytes::message(frame));
