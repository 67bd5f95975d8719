//! Ticks as bytes into a ring, against the oracle.
#![no_main]
#![allow(dead_code, reason = "the checks are shared with the tests, which use all of them")]

#[path = "../../tests/proof/bytes.rs"]
mod bytes;
#[path = "../../tests/proof/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bytes::ticks(input));
