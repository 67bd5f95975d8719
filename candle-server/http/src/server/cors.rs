//! Cross-origin resource sharing: the web pages that may read responses.

use std::convert::Infallible;
use std::str::FromStr;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::Body;

/// The value that allows pages of every origin.
pub(super) const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
/// Time for which a browser may store the result of a preflight (seconds): a day, as only a release changes it.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// The origins whose pages may read responses.
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
    /// Every origin, because market data is public.
    #[default]
    Any,
    /// Only these, in the spelling of browsers: scheme, host, and port unless it is the default of the scheme.
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
    /// Sets in `response` the origin that may read it, for the page that sent `request`.
    pub(super) fn allow(&self, request: &HeaderMap, response: &mut HeaderMap) {
        match self {
            Self::Any => {
                response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
            }
            Self::Only(origins) => {
                // On every response: a cache must not serve the response for one origin to another.
                response.append(header::VARY, HeaderValue::from_static("origin"));
                let allowed = request.get(header::ORIGIN).filter(|origin| origins.iter().any(|one| *one == **origin));
                match allowed {
                    Some(origin) => response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
                    // Cacheable responses are made with the usual value.
                    None => response.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN),
                };
            }
        }
    }
}

/// The response to `OPTIONS`, a preflight included. `methods` is the value of `Allow`.
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
    fn a_response_made_for_any_origin_is_not_readable_by_a_page_that_is_not_allowed() {
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
