//! The whole server in this process: real feeds at one end, real requests at the other.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod answers;
mod catalogue;
mod file;
mod garbage;
mod partner;
mod reconnect;
mod site;
mod socket;
