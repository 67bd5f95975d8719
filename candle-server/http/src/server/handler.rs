//! The seam between the server and the application.

use hyper::{HeaderMap, Method, Response};

use super::body::Body;

/// Responds to requests that are well formed and within the limits.
///
/// A handler never waits: the call runs on the thread of the connection. The body is sent without a copy. `ETag`, 304
/// and gzip are up to the handler. The server adds `Access-Control-Allow-Origin` and `X-Content-Type-Options` to each
/// response.
///
/// ```
/// use candle_http::server::{self, Handler, RequestHead, RoutedResponse};
///
/// struct Greeter;
///
/// impl Handler for Greeter {
///     fn handle(&self, _: RequestHead<'_>) -> RoutedResponse {
///         RoutedResponse { route: "greeting", response: server::json("\"hello\"") }
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Returns the response to one request. The body of a response to `HEAD` is measured and not sent.
    fn handle(&self, request: RequestHead<'_>) -> RoutedResponse;
}

/// The head of a request. The server never reads a request body.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'r> {
    /// The method.
    pub method: &'r Method,
    /// The path and the query, or `*`. A `CONNECT` request has no path: its target is replaced by `/`.
    pub target: &'r str,
    /// The headers.
    pub headers: &'r HeaderMap,
    /// True if a body follows. The server closes the connection after the response.
    pub has_body: bool,
}

/// A response and the route that it is counted under.
#[derive(Debug)]
pub struct RoutedResponse {
    /// The value of the metric label `route`.
    pub route: &'static str,
    /// The response.
    pub response: Response<Body>,
}

impl RoutedResponse {
    /// The response to a request that matches no route. The metrics count it under the route `none`.
    pub const fn unrouted(response: Response<Body>) -> Self {
        Self { route: "none", response }
    }
}
