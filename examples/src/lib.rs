//! What the example programs share: services to try an engine against, and to test it with.
#![forbid(unsafe_code)]

pub mod partner;
pub mod rate;
pub mod websocket;
