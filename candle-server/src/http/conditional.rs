//! Answers that caches may keep: validators, freshness, codings.

use std::io::Write as _;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};

use super::Body;
use super::origins::ANY_ORIGIN;
use super::respond::{JSON, NO_SNIFFING};
use crate::document::Document;

/// How long anyone may reuse an answer: a second is what a chart can tell, and turns any number of readers behind one
/// cache into one read a second.
const FRESHNESS: HeaderValue = HeaderValue::from_static("public, max-age=1");
/// What else but the target an answer depends on.
const VARY: HeaderValue = HeaderValue::from_static("accept-encoding");
/// What pages of other origins may read besides the headers they always may.
const EXPOSED: HeaderValue = HeaderValue::from_static("etag");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
/// Bodies under this many bytes fit one packet anyway.
const LEAST_COMPRESSED: usize = 1400;
/// The fastest level: the next ones take twice the time for a tenth of the bytes.
const LEVEL: Compression = Compression::fast();

/// What every answer of this kind has, made once: to copy a table costs a fifth of filling it. The tag is one of its own,
/// and the last two are added to all answers, so that they find their place taken.
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

/// A JSON answer with its validator.
#[derive(Clone, Debug)]
pub struct Representation {
    parts: [Bytes; 3],
    etag: HeaderValue,
    /// Made for the first client that asks for it, where there may be more.
    compressed: Option<Arc<OnceLock<Bytes>>>,
}

impl From<Document> for Representation {
    fn from(document: Document) -> Self {
        Self { etag: document.digest().etag(), parts: document.into_parts(), compressed: None }
    }
}

impl Representation {
    /// The same, whose clones are to be sent more than once.
    #[must_use]
    pub fn reusable(self) -> Self {
        Self { compressed: Some(Arc::default()), ..self }
    }

    /// The response to a request with these headers: 304 where the client has it already, compressed where it can read
    /// that and it pays.
    pub fn respond(self, request: &HeaderMap) -> Response<Body> {
        if request.get_all(header::IF_NONE_MATCH).iter().any(|tags| matches(tags.as_bytes(), self.etag.as_bytes())) {
            let mut response = with_tag(self.etag, Bytes::new().into());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(header::CONTENT_TYPE);
            return response;
        }
        let bytes: usize = self.parts.iter().map(Bytes::len).sum();
        if bytes >= LEAST_COMPRESSED && takes_gzip(request) {
            let compress = || Bytes::from(compressed(&self.parts));
            let body = self.compressed.as_ref().map_or_else(compress, |kept| kept.get_or_init(compress).clone());
            let mut response = with_tag(self.etag, body.into());
            response.headers_mut().insert(header::CONTENT_ENCODING, GZIP);
            return response;
        }
        with_tag(self.etag, self.parts.into())
    }
}

fn with_tag(etag: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = HEADERS.clone();
    if let Some(place) = response.headers_mut().get_mut(header::ETAG) {
        *place = etag;
    }
    response
}

/// Whether a list of entity tags has `etag`, or is `*`; weak or not makes no difference to a GET.
fn matches(tags: &[u8], etag: &[u8]) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let etag = opaque(etag);
    // A comma may stand inside of a tag, but never of one of ours.
    tags.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|tag| tag == b"*" || opaque(tag) == etag)
}

/// Whether the client reads gzip (RFC 9110, 12.5.3): it says so, or says that it reads anything.
fn takes_gzip(request: &HeaderMap) -> bool {
    let mut named = None;
    let mut any = None;
    for value in request.get_all(header::ACCEPT_ENCODING) {
        let Ok(value) = value.to_str() else { continue };
        for coding in value.split(',') {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let taken = !is_zero(weight);
            match name.trim() {
                name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => named = Some(taken),
                "*" => any = Some(taken),
                _ => {}
            }
        }
    }
    named.or(any).unwrap_or(false)
}

/// Whether a weight is `q=0`, in any of its spellings.
fn is_zero(weight: &str) -> bool {
    let digits = weight.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.trim_start().strip_prefix('='));
    digits.is_some_and(|digits| digits.trim().parse() == Ok(0.0))
}

fn compressed(parts: &[Bytes]) -> Vec<u8> {
    let bytes: usize = parts.iter().map(Bytes::len).sum();
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes / 4), LEVEL);
    for part in parts {
        // Writing into memory has nothing to fail on.
        let _ = encoder.write_all(part);
    }
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Body as _;
    use hyper::header::HeaderName;

    fn asked(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_tag_matches_weakly_and_anywhere_in_a_list() {
        let etag = b"W/\"0123456789abcdef\"";
        for list in ["*", "W/\"0123456789abcdef\"", "\"0123456789abcdef\"", "\"a,b\", W/\"x\" ,W/\"0123456789abcdef\""]
        {
            assert!(matches(list.as_bytes(), etag), "{list}");
        }
        for list in ["", "0123456789abcdef", "W/\"0123456789abcdee\"", "\"*\"", "w/\"0123456789abcdef\""] {
            assert!(!matches(list.as_bytes(), etag), "{list}");
        }
    }

    #[test]
    fn gzip_is_for_those_who_say_that_they_read_it() {
        for value in ["gzip", "GZip, br", "br;q=1.0, gzip;q=0.5", "*", "x-gzip", "deflate, *;q=0.1", "gzip;q=0.001"] {
            assert!(takes_gzip(&asked(header::ACCEPT_ENCODING, value)), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "gzipped", "identity"] {
            assert!(!takes_gzip(&asked(header::ACCEPT_ENCODING, value)), "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_short_body_is_sent_as_it_is() {
        let mut document = Document::default();
        document.counted(|out| out.extend_from_slice(&[b' '; LEAST_COMPRESSED - 1]));
        let request = asked(header::ACCEPT_ENCODING, "gzip");
        let short = Representation::from(document.clone()).respond(&request);
        assert_eq!(short.headers().get(header::CONTENT_ENCODING), None);
        document.counted(|out| out.push(b' '));
        let long = Representation::from(document).respond(&request);
        assert_eq!(long.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(long.body().size_hint().exact().is_some_and(|bytes| bytes < 100));
    }

    #[test]
    fn what_is_sent_often_is_compressed_once() {
        let mut document = Document::default();
        document.counted(|out| out.extend_from_slice(&[b' '; LEAST_COMPRESSED]));
        let request = asked(header::ACCEPT_ENCODING, "gzip");
        let often = Representation::from(document).reusable();
        let bytes = often.clone().respond(&request).body().size_hint().exact();
        let kept = often.compressed.as_ref().and_then(|kept| kept.get()).map(|bytes| bytes.len() as u64);
        assert_eq!(kept, bytes);
        assert_eq!(often.respond(&request).body().size_hint().exact(), bytes);
    }
}
