//! The `candle-server` binary from outside: its start line, its end, its refusals, and what it never says.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod process;
mod refusals;
mod running;
mod secrets;
