//! Tests of the `candle-server` binary: its start, exit codes and error messages. The output must contain no secrets.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod process;
mod refusals;
mod running;
mod secrets;
