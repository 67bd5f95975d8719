//! Tests the server over raw sockets, with a fake handler.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod broken;
mod client;
mod descriptors;
mod drain;
mod limits;
mod requests;
mod test_server;
