//! Answers that caches may keep: validators, freshness, codings.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};

use super::Body;
use super::respond::json;
use crate::document::{Digest, Document};

/// How long anyone may reuse an answer: a second is what a chart can tell, and turns any number of readers behind one
/// cache into one read a second.
const FRESHNESS: HeaderValue = HeaderValue::from_static("public, max-age=1");
/// What else but the target an answer depends on.
const VARY: HeaderValue = HeaderValue::from_static("accept-encoding");
/// What pages of other origins may read besides the headers they always may.
const EXPOSED: HeaderValue = HeaderValue::from_static("etag");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
/// Headers that are added here and later, so that their table is made once.
const HEADERS: usize = 12;

/// Bodies under this many bytes fit one packet anyway.
const LEAST_COMPRESSED: usize = 1400;
/// The fastest level: the next ones take twice the time for a tenth of the bytes.
const LEVEL: Compression = Compression::fast();

/// A JSON answer with its validator, written once and sent any number of times.
#[derive(Clone, Debug)]
pub struct Representation {
    body: Bytes,
    digest: Digest,
}

impl From<Document> for Representation {
    fn from(document: Document) -> Self {
        Self { digest: document.digest(), body: document.into_body().into() }
    }
}

impl Representation {
    /// The response to a request with these headers: 304 where the client has it already, compressed where it can read
    /// that and it pays.
    pub fn respond(&self, request: &HeaderMap) -> Response<Body> {
        let etag = self.digest.etag();
        if request.get_all(header::IF_NONE_MATCH).iter().any(|tags| matches(tags.as_bytes(), etag.as_bytes())) {
            let mut response = Response::new(Body::from(Bytes::new()));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return validated(response, etag);
        }
        if self.body.len() >= LEAST_COMPRESSED && takes_gzip(request) {
            let mut response = validated(json(compressed(&self.body)), etag);
            response.headers_mut().insert(header::CONTENT_ENCODING, GZIP);
            return response;
        }
        validated(json(self.body.clone()), etag)
    }
}

fn validated(mut response: Response<Body>, etag: HeaderValue) -> Response<Body> {
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    let added: [(HeaderName, HeaderValue); 4] = [
        (header::ETAG, etag),
        (header::CACHE_CONTROL, FRESHNESS),
        (header::VARY, VARY),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
    ];
    for (name, value) in added {
        headers.insert(name, value);
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

fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), LEVEL);
    // Writing into memory has nothing to fail on.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Body as _;

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
}
