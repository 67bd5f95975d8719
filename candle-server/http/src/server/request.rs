//! Checks a request against HTTP and the limits.

use hyper::{Method, Request, Uri, Version, header};

use super::limits::Limits;
use crate::problem::Problem;

/// Checks the rules that hyper does not check, and returns the target of `request`.
///
/// # Errors
/// The problem, and a sentence with its reason, if `request` breaks a rule.
pub(super) fn check<'r, B>(limits: &Limits, request: &'r Request<B>) -> Result<&'r str, (Problem, &'static str)> {
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
            return Err((Problem::BadRequest, "The Host header is not a valid host."));
        }
        _ => {}
    }
    let path = request.uri().path_and_query().map(hyper::http::uri::PathAndQuery::as_str);
    match path {
        Some(path) => Ok(path),
        // The target of CONNECT is a host without a path. The handler rejects the method.
        None if request.method() == Method::CONNECT => Ok("/"),
        None => Err((Problem::BadRequest, "The request target has no path.")),
    }
}

fn target_bytes(target: &Uri) -> usize {
    let origin = target.authority().map_or(0, |authority| authority.as_str().len());
    let path = target.path_and_query().map_or(0, |path| path.as_str().len());
    origin + path
}

/// Returns true if `host` has only characters of `uri-host [":" port]` (RFC 3986). An empty host is allowed.
fn is_host(host: &[u8]) -> bool {
    // A pattern compiles to a table look-up. Searching a list of characters would take as long as finding an
    // instrument.
    let is_host_byte = |byte: &u8| {
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
    host.iter().all(is_host_byte)
}
