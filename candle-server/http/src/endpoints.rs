//! Handles all routes of one engine.

use bytes::Bytes;
use hyper::{HeaderMap, Method, Response};
use tokio::sync::watch;

use crate::api::Api;
use crate::metrics::{self, Metrics};
use crate::route::Route;
use crate::router::RouteHandler;
use crate::server::{self, Body};

/// The `OpenAPI` 3.1 description of all routes.
const OPENAPI: &str = include_str!("../openapi.yaml");

/// Handles all routes of one engine.
#[derive(Debug)]
pub struct Endpoints {
    /// Handles the routes for readers, the probes and the state of the feeds.
    pub api: Api,
    /// The metrics that `/metrics` returns.
    pub metrics: Metrics,
}

impl RouteHandler for Endpoints {
    fn respond(&self, method: &Method, route: &Route<'_>, headers: &HeaderMap) -> Response<Body> {
        match route {
            Route::Metrics => server::text(metrics::MEDIA_TYPE, self.metrics.text()),
            Route::OpenApi => server::text("application/yaml", Bytes::from_static(OPENAPI.as_bytes())),
            _ => self.api.respond(method, route, headers),
        }
    }
}

/// Calls the endpoints that the channel holds at the time of each request, so that an engine can be replaced.
impl RouteHandler for watch::Receiver<Endpoints> {
    fn respond(&self, method: &Method, route: &Route<'_>, headers: &HeaderMap) -> Response<Body> {
        self.borrow().respond(method, route, headers)
    }
}
