//! Which web pages may read the answers (cross-origin resource sharing).

use std::convert::Infallible;
use std::str::FromStr;

use hyper::header::{self, HeaderMap, HeaderValue};

/// Every page of every origin.
pub(super) const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");

/// The origins whose pages may read answers.
///
/// ```
/// use candle_server::http::Origins;
///
/// assert_eq!("*".parse(), Ok(Origins::Any));
/// let only: Origins = "https://example.com https://example.org".parse().unwrap();
/// assert_ne!(only, Origins::Any);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Every one: engine data is public.
    #[default]
    Any,
    /// These alone, as browsers spell them: scheme, host, and port where it is not the scheme's own.
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
    /// Says in `response` whether the page that sent `request` may read it.
    pub(super) fn allow(&self, request: &HeaderMap, response: &mut HeaderMap) {
        match self {
            Self::Any => {
                response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
            }
            Self::Only(origins) => {
                // Said of every answer: a cache must not give one page's to another.
                response.append(header::VARY, HeaderValue::from_static("origin"));
                let allowed = request.get(header::ORIGIN).filter(|origin| origins.iter().any(|one| *one == **origin));
                match allowed {
                    Some(origin) => response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
                    // Answers made from a table have the usual one.
                    None => response.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_may_not_read_finds_no_leave_whatever_the_answer_was_made_from() {
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
