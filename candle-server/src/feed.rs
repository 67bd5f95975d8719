//! The price streams: where they are, what they bring, how they are kept up.

pub mod backoff;
pub mod demo;
pub mod url;
pub mod websocket;
