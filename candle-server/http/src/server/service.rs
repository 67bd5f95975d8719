//! Turns a request into its response, with the state that all connections of a server share.

use std::sync::Arc;

use hyper::header::{self, HeaderValue};
use hyper::{Request, Response};
use tokio::sync::Semaphore;

use super::body::Body;
use super::cors::Origins;
use super::handler::{Handler, RequestHead, RoutedResponse};
use super::limits::Limits;
use super::metrics::ServerMetrics;
use super::request;
use super::response::{self, NO_SNIFFING};

/// The state that all connections of a server share.
pub(super) struct Service<H> {
    pub(super) handler: H,
    pub(super) limits: Limits,
    pub(super) origins: Origins,
    pub(super) metrics: Arc<ServerMetrics>,
    /// One permit for each connection that may be served at once.
    pub(super) permits: Arc<Semaphore>,
}

impl<H: Handler> Service<H> {
    /// Returns the response to `request`, without the headers that hyper adds (length, date, connection).
    pub(super) fn respond<B: hyper::body::Body>(&self, request: &Request<B>) -> Response<Body> {
        let has_body = !request.body().is_end_stream();
        let (method, headers) = (request.method(), request.headers());
        let RoutedResponse { route, mut response } = match request::check(&self.limits, request) {
            Ok(target) => self.handler.handle(RequestHead { method, target, headers, has_body }),
            Err((problem, detail)) => RoutedResponse::unrouted(response::problem(problem, detail)),
        };
        // The request body stays unread, and its bytes must not be parsed as the next request. If no permit is free,
        // each connection is closed after one response, so that waiting clients are served.
        if has_body || self.is_full() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.origins.allow(headers, response.headers_mut());
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
        self.metrics.count_response(route, method, response.status());
        response
    }

    /// Returns true if no permit is free.
    fn is_full(&self) -> bool {
        self.permits.available_permits() == 0
    }
}
