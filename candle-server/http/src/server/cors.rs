//! Cross-origin resource sharing: decides which web pages may read responses.

use std::convert::Infallible;
use std::str::FromStr;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::Body;

/// The value of `Access-Control-Allow-Origin` that allows pages of every origin.
pub(super) const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
/// The time for which a browser may store the result of a preflight (seconds).
///
/// One day is long enough, because only a new release changes the result.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// The web origins that may read responses.
///
/// ```
/// use candle_http::server::Origins;
///
/// assert_eq!("*".parse(), Ok(Origins::Any));
/// let only: Origins = "https://example.com https://example.org".parse().unwrap();
/// assert_ne!(only, Origins::Any);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Every origin. This is the default, because market data is public.
    #[default]
    Any,
    /// Only the listed origins, as browsers spell them.
    ///
    /// An origin consists of scheme, host, and port unless it is the default of the scheme.
    Only(Vec<String>),
}

impl FromStr for Origins {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        Ok(Self::Only(text.split_whitespace().map(str::to_owned).collect()))
    }
}

impl Origins {
    /// Adds `Access-Control-Allow-Origin` to `response` if the page that sent `request` may read it.
    pub(super) fn allow(&self, request: &HeaderMap, response: &mut HeaderMap) {
        match self {
            Self::Any => {
                response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
            }
            Self::Only(origins) => {
                // `Vary` is set on every response, so that a cache does not send the response for one origin to
                // another.
                response.append(header::VARY, HeaderValue::from_static("origin"));
                let allowed = request.get(header::ORIGIN).filter(|origin| origins.iter().any(|one| *one == **origin));
                match allowed {
                    Some(origin) => response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
                    // Cacheable responses already have this header with the value `*`.
                    None => response.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN),
                };
            }
        }
    }
}

/// Returns the response to an `OPTIONS` request, which may be a CORS preflight. `methods` is the value of `Allow`.
pub fn preflight(methods: &'static str) -> Response<Body> {
    let mut response = Response::new(Bytes::new().into());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_allows_any_origin_is_removed_for_pages_of_other_origins() {
        let origins: Origins = "https://example.com".parse().unwrap();
        let allowed = |origin: &'static str| {
            let request = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]);
            let mut response = HeaderMap::from_iter([(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN)]);
            origins.allow(&request, &mut response);
            response.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).cloned()
        };
        assert_eq!(allowed("https://example.com"), Some(HeaderValue::from_static("https://example.com")));
        assert_eq!(allowed("https://example.org"), None);
    }
}
