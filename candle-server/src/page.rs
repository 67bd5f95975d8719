//! The chart page: files of this binary and nothing else. It is as its author wrote it: no build step, no other origin.

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};

use crate::http::{self, Body};
use crate::problem::Problem;

/// What the page may do: load its own files and talk to its own server. No inline script or style, no plug-in, no form,
/// no frame around it; and no text may become markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// One file of the page.
#[derive(Clone, Copy, Debug)]
struct File {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    /// How long a browser may use it without asking.
    cache: &'static str,
}

/// For a file whose name never has other contents.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// For a file that changes with releases: asked for each time, answered with 304 while it is the same.
const ASK: &str = "no-cache";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! file {
    ($name:literal, $media_type:expr) => {
        file!($name, $name, $media_type, ASK)
    };
    ($name:literal, $path:literal, $media_type:expr, $cache:expr) => {
        File { name: $name, media_type: $media_type, bytes: include_bytes!(concat!("../page/", $path)), cache: $cache }
    };
}

const CHART: File = file!("", "chart.html", "text/html; charset=utf-8", ASK);

/// What `/assets/{name}` serves.
const ASSETS: [File; 14] = [
    file!("chart.css", STYLE),
    file!("theme.js", SCRIPT),
    file!("main.js", SCRIPT),
    file!("banner.js", SCRIPT),
    file!("candles.js", SCRIPT),
    file!("chart.js", SCRIPT),
    file!("format.js", SCRIPT),
    file!("popular.js", SCRIPT),
    file!("search.js", SCRIPT),
    file!("stream.js", SCRIPT),
    file!("table.js", SCRIPT),
    file!("icon.svg", "image/svg+xml"),
    file!("NOTICE", "vendor/NOTICE", TEXT, ASK),
    file!("lightweight-charts-5.2.1.mjs", "vendor/lightweight-charts-5.2.1.mjs", SCRIPT, FOR_EVER),
];

/// The page itself: the same for every instrument, which its script reads out of the address.
pub fn chart(headers: &HeaderMap) -> Response<Body> {
    serve(&CHART, headers)
}

/// One of its files.
pub fn asset(name: &str, headers: &HeaderMap) -> Response<Body> {
    match ASSETS.iter().find(|file| file.name == name) {
        Some(file) => serve(file, headers),
        None => http::problem(Problem::UnknownPath, "The page has no such file."),
    }
}

fn serve(file: &File, headers: &HeaderMap) -> Response<Body> {
    let tag = tag(file);
    let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| names(known, &tag));
    let mut response = Response::new(Body::from(Bytes::from_static(if is_known { b"" } else { file.bytes })));
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(file.cache));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response
}

/// A name for the contents: 64 bits tell the releases of one file apart.
fn tag(file: &File) -> String {
    use std::hash::{DefaultHasher, Hasher};

    let mut hasher = DefaultHasher::new();
    hasher.write(file.bytes);
    format!("\"{:016x}\"", hasher.finish())
}

fn names(known: &HeaderValue, tag: &str) -> bool {
    let known = known.to_str().unwrap_or_default();
    known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}
