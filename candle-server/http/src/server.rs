//! An HTTP/1.1 server with a limit on every size, number and time. The server is independent of routes and candles.
//!
//! - `listener`: accepts connections, hands out permits, and shuts down
//! - `threads`: runs one accept loop on each core
//! - `connection`: serves one connection, from accept to close
//! - `service`: turns a request into its response
//! - `request`: checks a request against HTTP and the limits
//! - `handler`: defines the trait that an application implements
//! - `response`, `body`: build responses and their bodies
//! - `caching`: adds `ETag`, 304 and gzip
//! - `cors`: adds cross-origin headers
//! - `deadline`: wraps a socket, and fails when its connection exceeds a timeout
//! - `limits`, `per_ip`: define the limits, and count the connections of each client address
//! - `metrics`: counts requests, connections and failures
//!
//! The server does not support HTTP/2. To detect HTTP/2, it would have to wait without a timeout for the first bytes of
//! each client. A proxy in front of the server can offer HTTP/2.

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
pub use caching::{CacheableResponse, is_not_modified, not_modified};
pub use cors::{Origins, preflight};
pub use handler::{Handler, RequestHead, RoutedResponse};
pub use limits::Limits;
pub use listener::{Listeners, Server};
pub use metrics::ServerMetrics;
pub use response::{json, problem, text};
pub use threads::serve_on_threads;
