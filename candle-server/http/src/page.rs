//! Serves the chart page. Its files are part of the binary, need no build step, and load nothing from other origins.

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response};

use crate::problem::Problem;
use crate::server::{self, Body, is_not_modified, not_modified};

/// The content security policy. The page may load its own files and connect to its own server.
///
/// Inline scripts and styles, plug-ins, forms, frames and markup from text are not allowed.
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
    /// The value of `Cache-Control`.
    cache: &'static str,
}

/// The `Cache-Control` of a file that has its version in its name. The content under that name never changes.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// The `Cache-Control` of a file that releases may change. Browsers send `If-None-Match` and usually receive a 304.
const REVALIDATE: &str = "no-cache";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! file {
    ($name:literal, $media_type:expr) => {
        file!($name, $name, $media_type, REVALIDATE)
    };
    ($name:literal, $path:literal, $media_type:expr, $cache:expr) => {
        File { name: $name, media_type: $media_type, bytes: include_bytes!(concat!("../page/", $path)), cache: $cache }
    };
}

const CHART: File = file!("", "chart.html", "text/html; charset=utf-8", REVALIDATE);

/// The files that `/assets/{name}` serves.
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
    file!("NOTICE", "vendor/NOTICE", TEXT, REVALIDATE),
    file!("lightweight-charts-5.2.1.mjs", "vendor/lightweight-charts-5.2.1.mjs", SCRIPT, IMMUTABLE),
];

/// Returns the response with the page. Its script reads the instrument from the address.
pub(crate) fn chart(headers: &HeaderMap) -> Response<Body> {
    serve(&CHART, headers)
}

/// Returns the response for the file `name` of the page, or a problem if there is no such file.
pub(crate) fn asset(name: &str, headers: &HeaderMap) -> Response<Body> {
    match ASSETS.iter().find(|file| file.name == name) {
        Some(file) => serve(file, headers),
        None => server::problem(Problem::UnknownPath, "The page has no such file."),
    }
}

fn serve(file: &File, request: &HeaderMap) -> Response<Body> {
    let etag = etag(file);
    let is_known = is_not_modified(request, &etag);
    let mut response = Response::new(Body::from(Bytes::from_static(file.bytes)));
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(file.cache));
    headers.insert(header::ETAG, etag);
    if is_known { not_modified(response) } else { response }
}

/// Returns the entity tag of a file: a 64-bit hash of its content.
fn etag(file: &File) -> HeaderValue {
    use std::hash::{DefaultHasher, Hasher};

    let mut hasher = DefaultHasher::new();
    hasher.write(file.bytes);
    let etag = format!("\"{:016x}\"", hasher.finish());
    // Hexadecimal digits and quotes are valid in a header.
    HeaderValue::from_str(&etag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}
