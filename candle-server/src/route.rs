//! What a request asks for: method and target in, a [`Route`] or a typed [`Refusal`] out.
//!
//! The path is split at `/` before it is decoded, so `BTC%2FUSD` is one segment. `+` stands for itself everywhere, in
//! the path and in the query: a space is `%20`. Nothing is normalised: `//` and `..` are segments like any other.

mod form;

pub use form::{Form, Format};

use std::borrow::Cow;
use std::fmt;

use candle_core::{InstrumentId, InvalidId};
use hyper::Method;
use percent_encoding::percent_decode_str;

/// The methods every route answers, as `Allow` lists them.
pub const ALLOW: &str = "GET, HEAD, OPTIONS";
/// Instruments on one page of the listing unless `limit` says otherwise: a screenful or three.
pub const DEFAULT_PAGE: u16 = 100;
/// Most instruments on one page of the listing: keeps one answer near 100 KB.
pub const MAX_PAGE: u16 = 1000;
/// Most instruments in one stream: twice the popular ones, and a first answer of at most 150 KB.
pub const MAX_STREAMED: usize = 20;

/// A request whose method and target are understood.
///
/// ```
/// use candle_server::route::{Asked, Form, Route};
/// use hyper::Method;
///
/// let asked = Asked::parse(&Method::GET, "/instruments/BTC%2FUSD").unwrap();
/// assert_eq!(asked, Asked::Get(Route::History { id: "BTC/USD".into(), form: Form::default() }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked<'t> {
    /// The thing itself.
    Get(Route<'t>),
    /// The head alone: counts nothing and starts nothing.
    Head(Route<'t>),
    /// What may be asked here; also a browser's preflight.
    Options,
}

/// A thing that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'t> {
    /// `/`: makes sure that the aggregator runs, and says so.
    Start,
    /// `/instruments`: a page of what is listed.
    Listing(Page<'t>),
    /// `/instruments/popular`: the histories read most.
    Popular,
    /// `/instruments/{id}`: one history.
    History {
        /// The instrument: well formed, not necessarily listed.
        id: Cow<'t, str>,
        /// How it is told.
        form: Form,
    },
    /// `/instruments/{id}/stream` and `/stream?ids=`: histories, and then what changes in them.
    Stream {
        /// The instruments: 1 to [`MAX_STREAMED`], all different and well formed, not necessarily listed.
        ids: Vec<Cow<'t, str>>,
        /// How they are told.
        form: Form,
    },
    /// `/chart` and `/chart/{id}`: the page that shows an instrument's candles.
    #[cfg(feature = "page")]
    Chart,
    /// `/assets/{name}`: a file of that page.
    #[cfg(feature = "page")]
    Asset(&'t str),
    /// `/livez`: whether the process runs.
    Live,
    /// `/readyz`: whether it should be sent requests.
    Ready,
    /// `/feed`: how the feeds are doing.
    Feed,
    /// `/metrics`: what was counted.
    Metrics,
    /// `/openapi.yaml`: what every route takes and answers.
    Description,
}

/// Whom a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever reads candles.
    Readers,
    /// Whoever runs the server.
    Operators,
    /// Both.
    Everyone,
}

impl Route<'_> {
    /// Its name in counts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Listing(_) => "listing",
            Self::Popular => "popular",
            Self::History { .. } => "history",
            Self::Stream { .. } => "stream",
            #[cfg(feature = "page")]
            Self::Chart | Self::Asset(_) => "page",
            Self::Live => "livez",
            Self::Ready => "readyz",
            Self::Feed => "feed",
            Self::Metrics => "metrics",
            Self::Description => "openapi",
        }
    }

    /// Whom it is for: the operators' routes can be moved to a listener of their own.
    pub const fn audience(&self) -> Audience {
        match self {
            Self::Start
            | Self::Listing(_)
            | Self::Popular
            | Self::History { .. }
            | Self::Stream { .. }
            | Self::Description => Audience::Readers,
            #[cfg(feature = "page")]
            Self::Chart | Self::Asset(_) => Audience::Readers,
            Self::Feed | Self::Metrics => Audience::Operators,
            Self::Live | Self::Ready => Audience::Everyone,
        }
    }
}

/// Which part of the listing is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<'t> {
    /// At most this many instruments: 1 to [`MAX_PAGE`].
    pub limit: u16,
    /// Only ids that sort, as bytes, after this one.
    pub after: Option<Cow<'t, str>>,
    /// Only ids that begin with this; empty for all.
    pub prefix: Cow<'t, str>,
}

/// Why a request is refused before anything is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// No route has this path.
    NoSuchPath,
    /// The path exists; the method is none of [`ALLOW`].
    Method,
    /// The id in the path is none that could ever be listed.
    Id(Malformed),
    /// A known query parameter has a value it can't have.
    Parameter(&'static str),
    /// A known query parameter is given twice.
    Repeated(&'static str),
}

/// Why a piece of text is no instrument id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A `%` without two hexadecimal digits after it.
    Escape,
    /// The decoded bytes are not UTF-8.
    Utf8,
    /// It could never be listed.
    Id(InvalidId),
}

impl<'t> Asked<'t> {
    /// Reads `method` and `target`, a path with or without a query (or `*`, for OPTIONS).
    ///
    /// # Errors
    ///
    /// The first [`Refusal`] in this order: unknown path, method, id, query.
    pub fn parse(method: &Method, target: &'t str) -> Result<Self, Refusal> {
        if target == "*" && method == Method::OPTIONS {
            return Ok(Self::Options);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let place = Place::of(path).ok_or(Refusal::NoSuchPath)?;
        match *method {
            Method::GET => place.route(query).map(Self::Get),
            Method::HEAD => place.route(query).map(Self::Head),
            Method::OPTIONS => Ok(Self::Options),
            _ => Err(Refusal::Method),
        }
    }
}

/// A path that some route has, nothing in it decoded yet.
enum Place<'t> {
    Start,
    Listing,
    Popular,
    History(&'t str),
    HistoryStream(&'t str),
    Stream,
    #[cfg(feature = "page")]
    Chart,
    #[cfg(feature = "page")]
    Asset(&'t str),
    Live,
    Ready,
    Feed,
    Metrics,
    Description,
}

impl<'t> Place<'t> {
    fn of(path: &'t str) -> Option<Self> {
        // The search for a `char` is made for longer texts than segments are.
        let is_slash: fn(char) -> bool = |character| character == '/';
        let mut segments = path.strip_prefix('/')?.split(is_slash);
        // Four segments tell every route from its longer neighbours: the rest of the path is not walked.
        match (segments.next()?, segments.next(), segments.next(), segments.next()) {
            ("", None, None, None) => Some(Self::Start),
            ("instruments", None, None, None) => Some(Self::Listing),
            ("instruments", Some(""), _, _) => None,
            ("instruments", Some("popular"), None, None) => Some(Self::Popular),
            ("instruments", Some(id), None, None) => Some(Self::History(id)),
            ("instruments", Some(id), Some("stream"), None) => Some(Self::HistoryStream(id)),
            ("stream", None, None, None) => Some(Self::Stream),
            #[cfg(feature = "page")]
            ("chart", _, None, None) => Some(Self::Chart),
            #[cfg(feature = "page")]
            ("assets", Some(name), None, None) => Some(Self::Asset(name)),
            ("livez", None, None, None) => Some(Self::Live),
            ("readyz", None, None, None) => Some(Self::Ready),
            ("feed", None, None, None) => Some(Self::Feed),
            ("metrics", None, None, None) => Some(Self::Metrics),
            ("openapi.yaml", None, None, None) => Some(Self::Description),
            _ => None,
        }
    }

    fn route(self, query: &'t str) -> Result<Route<'t>, Refusal> {
        Ok(match self {
            Self::Start => Route::Start,
            Self::Listing => Route::Listing(Page::parse(query)?),
            Self::Popular => Route::Popular,
            Self::History(id) => Route::History { id: parse_id(id).map_err(Refusal::Id)?, form: Form::parse(query)? },
            Self::HistoryStream(id) => {
                Route::Stream { ids: vec![parse_id(id).map_err(Refusal::Id)?], form: Form::parse(query)? }
            }
            Self::Stream => parse_stream(query)?,
            #[cfg(feature = "page")]
            Self::Chart => Route::Chart,
            #[cfg(feature = "page")]
            Self::Asset(name) => Route::Asset(name),
            Self::Live => Route::Live,
            Self::Ready => Route::Ready,
            Self::Feed => Route::Feed,
            Self::Metrics => Route::Metrics,
            Self::Description => Route::Description,
        })
    }
}

impl<'t> Page<'t> {
    fn parse(query: &'t str) -> Result<Self, Refusal> {
        let limit = match parameter(query, "limit")? {
            None => DEFAULT_PAGE,
            Some(text) => parse_limit(text).ok_or(Refusal::Parameter("limit"))?,
        };
        let after = parameter(query, "after")?.map(parse_id).transpose();
        let prefix = match parameter(query, "prefix")? {
            None | Some("") => Ok(Cow::Borrowed("")),
            Some(text) => parse_id(text),
        };
        Ok(Self {
            limit,
            after: after.map_err(|_| Refusal::Parameter("after"))?,
            prefix: prefix.map_err(|_| Refusal::Parameter("prefix"))?,
        })
    }
}

/// Reads the query of `/stream`. An id that is given twice is streamed once.
fn parse_stream(query: &str) -> Result<Route<'_>, Refusal> {
    let mut ids: Vec<Cow<'_, str>> = Vec::new();
    // Split before decoded: a comma of an id is %2C.
    for raw in parameter(query, "ids")?.unwrap_or_default().split(',') {
        let id = parse_id(raw).map_err(|_| Refusal::Parameter("ids"))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
        if ids.len() > MAX_STREAMED {
            return Err(Refusal::Parameter("ids"));
        }
    }
    let form = Form::parse(query)?;
    if form.format == Format::Lightweight && ids.len() > 1 {
        return Err(Refusal::Parameter("format"));
    }
    Ok(Route::Stream { ids, form })
}

/// The raw value of `name` in `query`: what follows the `=`, or nothing if there is none.
///
/// Names are compared as they stand: `%6Cimit` is an unknown parameter, and those are ignored.
fn parameter<'t>(query: &'t str, name: &'static str) -> Result<Option<&'t str>, Refusal> {
    let mut values = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter_map(|(key, value)| (key == name).then_some(value));
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Refusal::Repeated(name)),
    }
}

fn parse_limit(text: &str) -> Option<u16> {
    // `parse` alone would take a leading `+`.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit))
}

/// Decodes `raw` and holds it to the rules of an instrument id.
fn parse_id(raw: &str) -> Result<Cow<'_, str>, Malformed> {
    if !escapes_are_whole(raw.as_bytes()) {
        return Err(Malformed::Escape);
    }
    let id = percent_decode_str(raw).decode_utf8().map_err(|_| Malformed::Utf8)?;
    match InstrumentId::new(&id) {
        // The reserved word is well formed: nothing of that name is listed, and some prefix may well begin with it.
        Ok(_) | Err(InvalidId::Reserved) => Ok(id),
        Err(bad) => Err(Malformed::Id(bad)),
    }
}

/// Whether two hexadecimal digits follow each `%`; the decoder itself lets a broken escape stand.
fn escapes_are_whole(mut text: &[u8]) -> bool {
    while let Some(percent) = text.iter().position(|&byte| byte == b'%') {
        match &text[percent + 1..] {
            [high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => text = rest,
            _ => return false,
        }
    }
    true
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchPath => f.write_str("No route has this path."),
            Self::Method => write!(f, "This path answers {ALLOW}."),
            Self::Id(malformed) => write!(f, "In the path: {malformed}."),
            Self::Parameter("limit") => write!(f, "The query parameter `limit` is a number from 1 to {MAX_PAGE}."),
            Self::Parameter("fill") => f.write_str("The query parameter `fill` is `none` or left out."),
            Self::Parameter("format") => {
                f.write_str("The query parameter `format` is `lightweight`, of one instrument alone, or left out.")
            }
            Self::Parameter("ids") => {
                write!(f, "The query parameter `ids` is 1 to {MAX_STREAMED} well-formed instrument ids between commas.")
            }
            Self::Parameter(name) => write!(f, "The query parameter `{name}` is no well-formed instrument id."),
            Self::Repeated(name) => write!(f, "The query parameter `{name}` is given more than once."),
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Escape => f.write_str("the instrument id has a `%` without two hexadecimal digits after it"),
            Self::Utf8 => f.write_str("the instrument id does not decode to UTF-8"),
            Self::Id(bad) => bad.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
