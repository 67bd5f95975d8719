//! Fuzzes the decoder. It must not panic, and its template decoder must agree with its parser.
#![no_main]

#[allow(dead_code, reason = "the other target uses the rest")]
#[path = "../../tests/fuzzed/bytes.rs"]
mod bytes;

libfuzzer_sys::fuzz_target!(|frame: &[u8]| bytes::message(frame));
