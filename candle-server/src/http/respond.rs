//! One request in, one response out: the checks HTTP asks for, then the route, then the answer.

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};

use super::limits::Limits;
use super::{Answer, Body, Server, Verb};
use crate::problem::{self, Problem};
use crate::route::{ALLOW, Asked, Refusal, Route};

/// How long a browser may remember a preflight (seconds): a day, as what is allowed changes with releases only.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// The media type of most answers.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What keeps a browser from taking an answer for something else than it says.
pub(super) const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");

/// A 200 response with a JSON body.
pub fn json(body: impl Into<Bytes>) -> Response<Body> {
    with_type(StatusCode::OK, JSON, body.into())
}

/// A 200 response with a body of this media type.
pub fn text(media_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    with_type(StatusCode::OK, HeaderValue::from_static(media_type), body.into())
}

/// A response with a problem document; `detail` says what is wrong this time, in a sentence.
pub fn problem(problem: Problem, detail: &str) -> Response<Body> {
    // The statuses in `Problem` are all valid codes.
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with_type(status, HeaderValue::from_static(problem::MEDIA_TYPE), problem.document(detail));
    // Caches may otherwise keep a 404 or a 414 of their own accord.
    insert(&mut response, header::CACHE_CONTROL, "no-store");
    response
}

fn with_type(status: StatusCode, media_type: HeaderValue, body: Bytes) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

fn insert(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

/// The response to `request`, complete but for what hyper adds (length, date, connection).
pub(super) fn respond<A: Answer, B: hyper::body::Body>(server: &Server<A>, request: &Request<B>) -> Response<Body> {
    let has_body = !request.body().is_end_stream();
    let (route, mut response) = match check(server.limits(), request) {
        Ok(target) => match Asked::parse(request.method(), target) {
            // A wrong method is the better explanation where both are wrong.
            Ok(_) if has_body => (REFUSED, problem(Problem::UnexpectedBody, "Requests here have no body.")),
            Ok(Asked::Get(route)) => (route.name(), read(server.answer(), Verb::Get, &route, request.headers())),
            Ok(Asked::Head(route)) => (route.name(), read(server.answer(), Verb::Head, &route, request.headers())),
            Ok(Asked::Options) => (REFUSED, options()),
            Err(refusal) => (REFUSED, refuse(refusal)),
        },
        Err((kind, detail)) => (REFUSED, problem(kind, detail)),
    };
    if has_body {
        // The body stays unread, and nothing after it may pass for a request.
        insert(&mut response, header::CONNECTION, "close");
    }
    server.origins().allow(request.headers(), response.headers_mut());
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    server.counts().answered(route, method(request.method()), response.status().as_u16());
    response
}

/// The route, in counts, of a request that reached none.
const REFUSED: &str = "none";

/// A method's name in counts, of which there must not be more than someone thought of.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn read<A: Answer>(answer: &A, verb: Verb, route: &Route<'_>, headers: &HeaderMap) -> Response<Body> {
    let mut response = answer.answer(verb, route, headers);
    if matches!(route, Route::Start | Route::Live | Route::Ready | Route::Feed | Route::Metrics) {
        insert(&mut response, header::CACHE_CONTROL, "no-store");
    }
    response
}

fn options() -> Response<Body> {
    let mut response = Response::new(Bytes::new().into());
    *response.status_mut() = StatusCode::NO_CONTENT;
    insert(&mut response, header::ALLOW, ALLOW);
    insert(&mut response, header::ACCESS_CONTROL_ALLOW_METHODS, ALLOW);
    insert(&mut response, header::ACCESS_CONTROL_ALLOW_HEADERS, "*");
    response.headers_mut().insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    response
}

fn refuse(refusal: Refusal) -> Response<Body> {
    let mut response = problem(refusal.into(), &refusal.to_string());
    if refusal == Refusal::Method {
        insert(&mut response, header::ALLOW, ALLOW);
    }
    response
}

/// The target of a request that keeps the rules which hyper leaves to us, and our limits.
fn check<'r, B>(limits: &Limits, request: &'r Request<B>) -> Result<&'r str, (Problem, &'static str)> {
    if target_bytes(request.uri()) > limits.target_bytes {
        return Err((Problem::TargetTooLong, "The request target is too long."));
    }
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > limits.headers || bytes > limits.header_bytes {
        return Err((Problem::HeadersTooLarge, "The request has too many headers, or too large ones."));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => {
            return Err((Problem::BadRequest, "The request has no Host header."));
        }
        (_, Some(_)) => return Err((Problem::BadRequest, "The request has more than one Host header.")),
        (Some(host), None) if !is_host(host.as_bytes()) => {
            return Err((Problem::BadRequest, "The Host header is no host."));
        }
        _ => {}
    }
    // CONNECT's target is a host alone, and nothing here connects; a method problem comes out of any known path.
    let path = request.uri().path_and_query().map(hyper::http::uri::PathAndQuery::as_str);
    match path {
        Some(path) => Ok(path),
        None if request.method() == Method::CONNECT => Ok("/"),
        None => Err((Problem::BadRequest, "The request target is no path.")),
    }
}

fn target_bytes(target: &Uri) -> usize {
    let origin = target.authority().map_or(0, |authority| authority.as_str().len());
    let path = target.path_and_query().map_or(0, |path| path.as_str().len());
    origin + path
}

/// Whether `host` has only characters of `uri-host [":" port]` (RFC 3986); an empty one is allowed.
fn is_host(host: &[u8]) -> bool {
    // A pattern is one look at a table; to search a list of them costs as much as a look-up of the instrument.
    let is_of_host = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b';'
                    | b'='
                    | b':'
                    | b'['
                    | b']'
            )
    };
    host.iter().all(is_of_host)
}
