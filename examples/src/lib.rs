//! Mock feed services, shared by the example programs and the tests of the whole server.
//!
//! - [`partner`]: the two-socket partner
//! - [`websocket`]: a WebSocket server that sends one stream to many clients
//! - [`rate`]: parses rates and durations such as `100/s` and `30s`
#![forbid(unsafe_code)]

pub mod partner;
pub mod rate;
pub mod websocket;
