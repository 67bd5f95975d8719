//! The stand-in for the chart page in a build without the feature `page`. No request reaches it: no route is parsed.

use hyper::{HeaderMap, Response};

use crate::problem::Problem;
use crate::server::{self, Body};

/// Returns 404.
pub(crate) fn chart(_: &HeaderMap) -> Response<Body> {
    server::problem(Problem::UnknownPath, "This build has no chart page.")
}

/// Returns 404.
pub(crate) fn asset(_: &str, headers: &HeaderMap) -> Response<Body> {
    chart(headers)
}
