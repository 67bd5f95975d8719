//! The HTTP server over raw sockets, with a fake handler; and the routes of operators, with the real one.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod alerts;
mod broken;
mod descriptors;
mod drain;
mod limits;
mod operators;
mod requests;
mod site;
