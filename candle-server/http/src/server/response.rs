//! Builds responses whose whole body is in memory.

use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::Body;
use crate::problem::{self, Problem};

/// The media type of most responses.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The value of `X-Content-Type-Options` that forbids browsers to guess another media type.
pub(super) const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");

/// Returns a 200 response with a JSON body.
pub fn json(body: impl Into<Bytes>) -> Response<Body> {
    with_type(StatusCode::OK, JSON, body.into())
}

/// Returns a 200 response with a body of the type `media_type`.
pub fn text(media_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    with_type(StatusCode::OK, HeaderValue::from_static(media_type), body.into())
}

/// Returns a response with a problem document. `detail` is a sentence about this occurrence.
pub fn problem(problem: Problem, detail: &str) -> Response<Body> {
    // Every status of `Problem` is a valid code.
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with_type(status, HeaderValue::from_static(problem::MEDIA_TYPE), problem.document(detail));
    // Without this header, caches may store a 404 or a 414.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_type(status: StatusCode, media_type: HeaderValue, body: Bytes) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}
