//! The whole server in this process, with real feeds and real HTTP requests.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod answers;
mod catalogue;
mod file;
mod garbage;
mod partner;
mod reconnect;
mod socket;
mod test_server;
