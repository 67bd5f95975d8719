//! Decodes arbitrary bytes as a snapshot in every format.
#![no_main]
#![allow(dead_code, reason = "the tests share these modules and use all of their items")]

#[path = "../../tests/proof/bytes.rs"]
mod bytes;
#[path = "../../tests/proof/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bytes::snapshot(input));
