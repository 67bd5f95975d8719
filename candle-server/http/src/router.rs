//! Routing: from a method and a target to the response of a route.

use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Response};

use crate::problem::Problem;
use crate::route::{ALLOW, Audience, Route, RouteError};
use crate::server::{self, Body, Handler, RequestHead, RoutedResponse};

/// Responds to `GET` and `HEAD` requests of a [`Route`].
pub trait RouteHandler: Send + Sync + 'static {
    /// Returns the response. Only a `GET` may count a view or start the feeds.
    fn respond(&self, method: &Method, route: &Route<'_>, headers: &HeaderMap) -> Response<Body>;
}

/// The routes that a listener exposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// All routes.
    All,
    /// The routes of readers.
    Public,
    /// The routes of operators.
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

/// Parses the route of a request and passes it on. Rejects requests without a route, and bodies.
#[derive(Clone, Debug)]
pub struct Router<H> {
    handler: H,
    exposure: Exposure,
}

impl<H> Router<H> {
    /// A router that exposes all routes of `handler`.
    pub const fn new(handler: H) -> Self {
        Self { handler, exposure: Exposure::All }
    }

    /// Exposes only some of the routes. The others are unknown paths.
    #[must_use]
    pub fn with_exposure(self, exposure: Exposure) -> Self {
        Self { exposure, ..self }
    }
}

impl<H: RouteHandler> Handler for Router<H> {
    fn handle(&self, request: RequestHead<'_>) -> RoutedResponse {
        let route = match Route::parse(request.method, request.target) {
            // An unknown path and a wrong method take precedence over a body.
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

/// The response to a request without a route.
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
