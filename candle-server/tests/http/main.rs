//! Tests of the routes for operators, over real sockets.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod alerts;
#[path = "../../http/tests/server/client.rs"]
#[allow(dead_code, reason = "the rest is for the tests of the server")]
mod client;
mod operators;
