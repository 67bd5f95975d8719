//! An HTTP/1.1 server with a bound on every size, number and time. It knows no route and no candle.
//!
//! - `listener`: accept loops, connection permits, shutdown
//! - `threads`: one accept loop for each core
//! - `connection`: one connection, from accept to close
//! - `service`: the steps from a request to its response
//! - `request`: the checks that HTTP and the limits require
//! - `handler`: the seam to the application
//! - `response`, `body`: responses and their bodies
//! - `caching`: `ETag`, 304 and gzip
//! - `cors`: cross-origin headers
//! - `deadline`: a socket that fails when its connection takes too long
//! - `limits`, `per_ip`: the bounds, and the connections of each client address
//! - `metrics`: counters
//!
//! HTTP/2 is left to a proxy: detecting it would wait without a limit for a client that sends nothing.

mod body;
mod caching;
mod connection;
mod cors;
mod deadline;
mod handler;
mod limits;
mod listener;
mod metrics;
mod per_ip;
mod request;
mod response;
mod service;
mod threads;

pub use body::{Body, Segments};
pub use caching::{CacheableResponse, is_not_modified};
pub use cors::{Origins, preflight};
pub use handler::{Handler, RequestHead, RoutedResponse};
pub use limits::Limits;
pub use listener::{Listeners, Server};
pub use metrics::ServerMetrics;
pub use response::{json, problem, text};
pub use threads::serve_on_threads;
