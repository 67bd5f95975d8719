//! Replaces the module `page` in builds without the feature `page`.
//!
//! No request calls these functions, because such builds do not parse the routes of the page.

use hyper::{HeaderMap, Response};

use crate::problem::Problem;
use crate::server::{self, Body};

/// Returns a 404 response.
pub(crate) fn chart(_: &HeaderMap) -> Response<Body> {
    server::problem(Problem::UnknownPath, "This build has no chart page.")
}

/// Returns a 404 response.
pub(crate) fn asset(_: &str, headers: &HeaderMap) -> Response<Body> {
    chart(headers)
}
