//! The HTTP face: connections in, answers out, everything bounded in size, number and time.
//!
//! HTTP/1.1 (and 1.0) only: sniffing for HTTP/2 would wait without a limit for a client that sends nothing; a proxy in
//! front speaks it where wanted. What is answered lies behind one seam, [`Answer`].

mod addresses;
mod body;
mod conditional;
mod connection;
mod counts;
mod limits;
mod listener;
mod origins;
mod respond;
mod stream;
mod workers;

pub use body::{Body, Parts};
pub use conditional::Representation;
pub use counts::Counts;
pub use limits::Limits;
pub use listener::Server;
pub use origins::Origins;
pub use respond::{json, problem, text};
pub use workers::serve_on;

use hyper::{HeaderMap, Response};

use crate::route::Route;

/// Something that answers requests which are well formed and within limits.
///
/// Nothing in an answer waits, so this is a plain call on the thread that holds the connection. The body goes to the
/// socket without a copy. Validators (`ETag`, 304) and codings (gzip) are the answerer's: it sees the request's headers
/// and owns the whole response. Origin and sniffing headers are added to every response afterwards.
///
/// ```
/// use candle_server::http::{self, Answer, Body, Verb};
/// use candle_server::route::Route;
/// use hyper::{HeaderMap, Response};
///
/// struct Greeter;
///
/// impl Answer for Greeter {
///     fn answer(&self, _: Verb, _: &Route<'_>, _: &HeaderMap) -> Response<Body> {
///         http::json("\"hello\"")
///     }
/// }
/// ```
pub trait Answer: Send + Sync + 'static {
    /// The response to one request; under [`Verb::Head`] its body is measured and not sent.
    fn answer(&self, verb: Verb, route: &Route<'_>, headers: &HeaderMap) -> Response<Body>;
}

/// How a route is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The client gets the body: this is what counts as a view, and what may start something.
    Get,
    /// The client gets the head alone; nothing is counted or started.
    Head,
}
