//! Calls the handler of a route, and responds with a problem document to requests without a route.
//!
//! The module [`route`](crate::route) parses the route. This module decides which routes a listener exposes.

use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Response};

use crate::problem::Problem;
use crate::route::{ALLOW, Audience, Route, RouteError};
use crate::server::{self, Body, Handler, RequestHead, RoutedResponse};

/// Responds to `GET` and `HEAD` requests of a [`Route`].
pub trait RouteHandler: Send + Sync + 'static {
    /// Returns the response for `route`. Only a `GET` may count a view or start the feeds.
    fn respond(&self, method: &Method, route: &Route<'_>, headers: &HeaderMap) -> Response<Body>;
}

/// The routes that a listener exposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// All routes, for readers and operators.
    All,
    /// The routes for readers, and the probes.
    Public,
    /// The routes for operators, and the probes.
    Admin,
}

impl Exposure {
    const fn includes(self, audience: Audience) -> bool {
        match (self, audience) {
            (Self::All, _)
            | (_, Audience::Everyone)
            | (Self::Public, Audience::Readers)
            | (Self::Admin, Audience::Operators) => true,
            (Self::Public, Audience::Operators) | (Self::Admin, Audience::Readers) => false,
        }
    }
}

/// Parses the route of a request and calls the handler. Rejects requests without a route and requests with a body.
#[derive(Clone, Debug)]
pub struct Router<H> {
    handler: H,
    exposure: Exposure,
}

impl<H> Router<H> {
    /// Creates a router that exposes all routes of `handler`.
    pub const fn new(handler: H) -> Self {
        Self { handler, exposure: Exposure::All }
    }

    /// Sets the routes to expose. The router responds to all other routes with the problem "unknown path".
    #[must_use]
    pub fn with_exposure(self, exposure: Exposure) -> Self {
        Self { exposure, ..self }
    }
}

impl<H: RouteHandler> Handler for Router<H> {
    fn handle(&self, request: RequestHead<'_>) -> RoutedResponse {
        let route = match Route::parse(request.method, request.target) {
            // If the path is unknown or the method is wrong, that error is reported instead of the body.
            Ok(_) if request.has_body => {
                let response = server::problem(Problem::UnexpectedBody, "Requests must not have a body.");
                return RoutedResponse::unrouted(response);
            }
            Ok(Some(route)) => route,
            Ok(None) => return RoutedResponse::unrouted(server::preflight(ALLOW)),
            Err(error) => return RoutedResponse::unrouted(reject(error)),
        };
        let mut response = if self.exposure.includes(route.audience()) {
            self.handler.respond(request.method, &route, request.headers)
        } else {
            reject(RouteError::UnknownPath)
        };
        if route.forbids_caching() {
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        RoutedResponse { route: route.name(), response }
    }
}

/// Returns the problem response to a request without a route.
pub fn reject(error: RouteError) -> Response<Body> {
    let problem = match error {
        RouteError::UnknownPath => Problem::UnknownPath,
        RouteError::Method => Problem::MethodNotAllowed,
        RouteError::Id(_) => Problem::BadId,
        RouteError::Parameter(_) | RouteError::Repeated(_) => Problem::BadQuery,
    };
    let mut response = server::problem(problem, &error.to_string());
    if error == RouteError::Method {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(ALLOW));
    }
    response
}
