//! The HTTP face over raw sockets, with a made-up answerer behind it.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod alerts;
mod broken;
mod descriptors;
mod drain;
mod face;
mod limits;
mod requests;
mod site;
