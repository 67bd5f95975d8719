//! Builds responses that clients and caches may store, with `ETag`, 304, freshness and gzip.

use std::io::Write as _;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};

use super::body::Body;
use super::cors::ANY_ORIGIN;
use super::response::{JSON, NO_SNIFFING};

/// The `Cache-Control` of a cacheable response: any cache may reuse it for 1 second.
///
/// People do not notice one second, and a shared cache then sends at most one request a second for each URL.
const FRESHNESS: HeaderValue = HeaderValue::from_static("public, max-age=1");
/// The value of `Vary`: the request header that selects the gzip or the plain response.
const VARY: HeaderValue = HeaderValue::from_static("accept-encoding");
/// The response header that pages of other origins may read in addition to the headers that browsers always expose.
const EXPOSED: HeaderValue = HeaderValue::from_static("etag");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
/// The smallest body to compress (bytes): a shorter body fits one packet uncompressed.
const MIN_COMPRESSED: usize = 1400;
/// The gzip level. The fastest level is used, because the next levels double the time to save a tenth of the bytes.
const LEVEL: Compression = Compression::fast();

/// The headers of every cacheable response, built once. A clone takes a fifth of the time of the insertions.
///
/// The `ETag` is a placeholder that each response replaces. The server later overwrites the last two headers, which
/// then does not grow the map.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, JSON),
        (header::ETAG, HeaderValue::from_static("W/\"\"")),
        (header::CACHE_CONTROL, FRESHNESS),
        (header::VARY, VARY),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
        (header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN),
    ])
});

/// A JSON body with its `ETag`.
///
/// ```
/// use candle_http::server::CacheableResponse;
/// use hyper::HeaderMap;
/// use hyper::header::{HeaderValue, IF_NONE_MATCH};
///
/// let body = ["[".into(), "1".into(), "]".into()];
/// let response = CacheableResponse::new(body, HeaderValue::from_static("W/\"1\""));
/// assert_eq!(response.clone().respond_to(&HeaderMap::new()).status(), 200);
/// let request = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("\"1\""))]);
/// assert_eq!(response.respond_to(&request).status(), 304);
/// ```
#[derive(Clone, Debug)]
pub struct CacheableResponse {
    segments: [Bytes; 3],
    etag: HeaderValue,
    /// The compressed body that all clones share. It is compressed for the first client that accepts gzip.
    gzip: Option<Arc<OnceLock<Bytes>>>,
}

impl CacheableResponse {
    /// Creates a response that sends `segments` in order. Responses with equal `etag`s must have equal content.
    pub const fn new(segments: [Bytes; 3], etag: HeaderValue) -> Self {
        Self { segments, etag, gzip: None }
    }

    /// Makes all clones share one compressed body, which is compressed at most once.
    #[must_use]
    pub fn with_shared_gzip(self) -> Self {
        Self { gzip: Some(Arc::default()), ..self }
    }

    /// Returns the response to a request with the headers `request`.
    ///
    /// The status is 304 if the client already has the content. The body is compressed if the client accepts gzip and
    /// the body has 1400 bytes or more.
    pub fn respond_to(self, request: &HeaderMap) -> Response<Body> {
        if is_not_modified(request, &self.etag) {
            let mut response = not_modified(with_etag(self.etag, Bytes::new().into()));
            response.headers_mut().remove(header::CONTENT_TYPE);
            return response;
        }
        let bytes: usize = self.segments.iter().map(Bytes::len).sum();
        if bytes >= MIN_COMPRESSED && accepts_gzip(request) {
            let compress = || Bytes::from(compress(&self.segments));
            let body = self.gzip.as_ref().map_or_else(compress, |gzip| gzip.get_or_init(compress).clone());
            let mut response = with_etag(self.etag, body.into());
            response.headers_mut().insert(header::CONTENT_ENCODING, GZIP);
            return response;
        }
        with_etag(self.etag, self.segments.into())
    }
}

fn with_etag(etag: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = HEADERS.clone();
    if let Some(value) = response.headers_mut().get_mut(header::ETAG) {
        *value = etag;
    }
    response
}

/// Returns the response with the status 304 and without its body. The headers stay.
pub fn not_modified(response: Response<Body>) -> Response<Body> {
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    Response::from_parts(parts, Bytes::new().into())
}

/// Returns true if an `If-None-Match` header of `request` lists `etag` or is `*`.
///
/// The comparison is weak (RFC 9110, 13.1.2): it ignores the prefix `W/` on both sides.
pub fn is_not_modified(request: &HeaderMap, etag: &HeaderValue) -> bool {
    request.get_all(header::IF_NONE_MATCH).iter().any(|list| lists(list.as_bytes(), etag.as_bytes()))
}

/// Returns true if the comma-separated `list` contains `etag` or `*`.
fn lists(list: &[u8], etag: &[u8]) -> bool {
    let opaque = |tag| <[u8]>::strip_prefix(tag, b"W/").unwrap_or(tag);
    // HTTP allows a comma inside an entity tag, but this server never sends such a tag.
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|tag| tag == b"*" || opaque(tag) == opaque(etag))
}

/// Returns true if `Accept-Encoding` allows gzip, by its name or by `*` (RFC 9110, 12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    let mut named = None;
    let mut any = None;
    for value in request.get_all(header::ACCEPT_ENCODING) {
        let Ok(value) = value.to_str() else { continue };
        for coding in value.split(',') {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let accepted = !is_zero(weight);
            match name.trim() {
                name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                    named = Some(accepted);
                }
                "*" => any = Some(accepted),
                _ => {}
            }
        }
    }
    named.or(any).unwrap_or(false)
}

/// Returns true if a weight is zero, for example `q=0`, `Q=0.000` or `q = 0`.
fn is_zero(weight: &str) -> bool {
    let digits = weight.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.trim_start().strip_prefix('='));
    digits.is_some_and(|digits| digits.trim().parse() == Ok(0.0))
}

fn compress(segments: &[Bytes]) -> Vec<u8> {
    let bytes: usize = segments.iter().map(Bytes::len).sum();
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes / 4), LEVEL);
    for segment in segments {
        // A write to memory cannot fail.
        let _ = encoder.write_all(segment);
    }
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Body as _;
    use hyper::header::HeaderName;

    fn request(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn spaces(count: usize) -> CacheableResponse {
        let body = [Bytes::from(vec![b' '; count]), Bytes::new(), Bytes::new()];
        CacheableResponse::new(body, HeaderValue::from_static("W/\"\""))
    }

    #[test]
    fn etags_are_compared_weakly_anywhere_in_a_list() {
        for etag in [&b"W/\"0123456789abcdef\""[..], b"\"0123456789abcdef\""] {
            for list in
                ["*", "W/\"0123456789abcdef\"", "\"0123456789abcdef\"", "\"a,b\", W/\"x\" ,W/\"0123456789abcdef\""]
            {
                assert!(lists(list.as_bytes(), etag), "{list}");
            }
            for list in ["", "0123456789abcdef", "W/\"0123456789abcdee\"", "\"*\"", "w/\"0123456789abcdef\""] {
                assert!(!lists(list.as_bytes(), etag), "{list}");
            }
        }
    }

    #[test]
    fn gzip_is_sent_only_to_clients_that_accept_it() {
        for value in ["gzip", "GZip, br", "br;q=1.0, gzip;q=0.5", "*", "x-gzip", "deflate, *;q=0.1", "gzip;q=0.001"] {
            assert!(accepts_gzip(&request(header::ACCEPT_ENCODING, value)), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "gzipped", "identity"] {
            assert!(!accepts_gzip(&request(header::ACCEPT_ENCODING, value)), "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_short_body_is_not_compressed() {
        let request = request(header::ACCEPT_ENCODING, "gzip");
        let short = spaces(MIN_COMPRESSED - 1).respond_to(&request);
        assert_eq!(short.headers().get(header::CONTENT_ENCODING), None);
        let long = spaces(MIN_COMPRESSED).respond_to(&request);
        assert_eq!(long.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(long.body().size_hint().exact().is_some_and(|bytes| bytes < 100));
    }

    #[test]
    fn clones_share_one_compressed_body() {
        let request = request(header::ACCEPT_ENCODING, "gzip");
        let shared = spaces(MIN_COMPRESSED).with_shared_gzip();
        let bytes = shared.clone().respond_to(&request).body().size_hint().exact();
        let stored = shared.gzip.as_ref().and_then(|gzip| gzip.get()).map(|bytes| bytes.len() as u64);
        assert_eq!(stored, bytes);
        assert_eq!(shared.respond_to(&request).body().size_hint().exact(), bytes);
    }
}
