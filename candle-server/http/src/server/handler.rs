//! The trait that an application implements to respond to requests.

use hyper::{HeaderMap, Method, Response};

use super::body::Body;

/// Responds to requests that are well formed and within the limits.
///
/// A handler must not block, because the call runs on the thread that serves the connection. The server sends the body
/// without a copy. The handler is responsible for `ETag`, 304 and gzip. The server adds `Access-Control-Allow-Origin`
/// and `X-Content-Type-Options` to each response.
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
    /// Returns the response to one request. For `HEAD`, the server sends the length of the body but not the body.
    fn handle(&self, request: RequestHead<'_>) -> RoutedResponse;
}

/// The head of a request. The server never reads a request body.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'r> {
    /// The request method, for example `GET`.
    pub method: &'r Method,
    /// The path and the query, or `*`. A `CONNECT` request has no path: its target is replaced by `/`.
    pub target: &'r str,
    /// The request headers.
    pub headers: &'r HeaderMap,
    /// True if the request has a body. The server then closes the connection after the response.
    pub has_body: bool,
}

/// A response, and the route under which the metrics count it.
#[derive(Debug)]
pub struct RoutedResponse {
    /// The value of the label `route` in the metrics.
    pub route: &'static str,
    /// The response to send.
    pub response: Response<Body>,
}

impl RoutedResponse {
    /// Wraps the response to a request that matches no route. The metrics count the response under the route `none`.
    pub const fn unrouted(response: Response<Body>) -> Self {
        Self { route: "none", response }
    }
}
