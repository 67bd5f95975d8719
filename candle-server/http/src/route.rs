//! Parses the method and the target of a request into a [`Route`] or a [`RouteError`].
//!
//! The path is split at `/` before its segments are decoded, so that `BTC%2FUSD` is one segment. `+` is an ordinary
//! character in the path and in the query, and a space is written as `%20`. Paths are not normalised: empty segments
//! and `..` are ordinary segments.

mod error;
mod limits;
mod query;

pub use error::{IdError, RouteError};
pub use limits::{ALLOW, DEFAULT_LIMIT, MAX_LIMIT, MAX_STREAMED};
pub use query::{Format, HistoryOptions, ListingQuery};

use std::borrow::Cow;

use hyper::Method;

use query::{parse_id, parse_streamed};

/// True if the chart page is part of this build.
const HAS_PAGE: bool = cfg!(feature = "page");

/// The parsed path and query of a request.
///
/// ```
/// use candle_http::route::{HistoryOptions, Route};
/// use hyper::Method;
///
/// let route = Route::parse(&Method::GET, "/instruments/BTC%2FUSD");
/// let history = Route::History { id: "BTC/USD".into(), options: HistoryOptions::default() };
/// assert_eq!(route, Ok(Some(history)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'t> {
    /// `/`: starts the feeds if they do not run yet.
    Start,
    /// `/instruments`: a page of the listed instruments.
    Listing(ListingQuery<'t>),
    /// `/instruments/popular`: the histories with the most views.
    Popular,
    /// `/instruments/{id}`: one history.
    History {
        /// The id of the instrument. The id is well formed, but the instrument may not be listed.
        id: Cow<'t, str>,
        /// The parsed query parameters `fill` and `format`.
        options: HistoryOptions,
    },
    /// `/instruments/{id}/stream` and `/stream?ids=`: histories, followed by their changes.
    Stream {
        /// 1 to [`MAX_STREAMED`] distinct ids. The ids are well formed, but the instruments may not be listed.
        ids: Vec<Cow<'t, str>>,
        /// The parsed query parameters `fill` and `format`.
        options: HistoryOptions,
    },
    /// `/chart` and `/chart/{id}`: the chart page.
    Chart,
    /// `/assets/{name}`: a file of the chart page.
    Asset(&'t str),
    /// `/livez`: the liveness probe.
    Live,
    /// `/readyz`: the readiness probe.
    Ready,
    /// `/feed`: the state of the feeds.
    Feed,
    /// `/metrics`: the metrics.
    Metrics,
    /// `/openapi.yaml`: the description of all routes.
    OpenApi,
}

/// The users that a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Clients that read candles.
    Readers,
    /// People who operate the server.
    Operators,
    /// Readers and operators.
    Everyone,
}

/// The id that no instrument can have, because `/instruments/popular` is a path of its own. The settings of the core reserve
/// it; see [`Config::with_reserved_id`](candle_core::Config::with_reserved_id).
pub const RESERVED_ID: &str = "popular";

impl<'t> Route<'t> {
    /// The [`name`](Self::name) of [`Route::History`].
    pub const HISTORY: &'static str = "history";
    /// The names of the routes that receive nearly all requests.
    pub const FREQUENT: [&'static str; 2] = [Self::HISTORY, "popular"];

    /// Parses the method and the target of a request. Returns `None` for `OPTIONS`, which needs no route.
    ///
    /// The target is a path with an optional query. For `OPTIONS`, the target may also be `*`.
    ///
    /// # Errors
    /// The first [`RouteError`] that applies. The path is checked first, then the method, the id and the query.
    pub fn parse(method: &Method, target: &'t str) -> Result<Option<Self>, RouteError> {
        if target == "*" && method == Method::OPTIONS {
            return Ok(None);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let route = Self::of(path, query);
        match *method {
            _ if route == Err(RouteError::UnknownPath) => Err(RouteError::UnknownPath),
            Method::GET | Method::HEAD => route.map(Some),
            Method::OPTIONS => Ok(None),
            _ => Err(RouteError::Method),
        }
    }

    fn of(path: &'t str, query: &'t str) -> Result<Self, RouteError> {
        // A closure is faster here: the search for a `char` is optimised for texts longer than a segment.
        let is_slash: fn(char) -> bool = |character| character == '/';
        let mut segments = path.strip_prefix('/').ok_or(RouteError::UnknownPath)?.split(is_slash);
        // No route has more than three segments. A fourth segment means an unknown path, so the rest is not scanned.
        match (segments.next().unwrap_or_default(), segments.next(), segments.next(), segments.next()) {
            ("", None, None, None) => Ok(Self::Start),
            ("instruments", None, None, None) => Ok(Self::Listing(ListingQuery::parse(query)?)),
            ("instruments", Some(""), _, _) => Err(RouteError::UnknownPath),
            ("instruments", Some(RESERVED_ID), None, None) => Ok(Self::Popular),
            ("instruments", Some(id), None, None) => {
                Ok(Self::History { id: parse_id(id).map_err(RouteError::Id)?, options: HistoryOptions::parse(query)? })
            }
            ("instruments", Some(id), Some("stream"), None) => {
                let ids = vec![parse_id(id).map_err(RouteError::Id)?];
                Ok(Self::Stream { ids, options: HistoryOptions::parse(query)? })
            }
            ("stream", None, None, None) => {
                let (ids, options) = parse_streamed(query)?;
                Ok(Self::Stream { ids, options })
            }
            ("chart", _, None, None) if HAS_PAGE => Ok(Self::Chart),
            ("assets", Some(name), None, None) if HAS_PAGE => Ok(Self::Asset(name)),
            ("livez", None, None, None) => Ok(Self::Live),
            ("readyz", None, None, None) => Ok(Self::Ready),
            ("feed", None, None, None) => Ok(Self::Feed),
            ("metrics", None, None, None) => Ok(Self::Metrics),
            ("openapi.yaml", None, None, None) => Ok(Self::OpenApi),
            _ => Err(RouteError::UnknownPath),
        }
    }

    /// Returns the value of the metric label `route`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Listing(_) => "listing",
            Self::Popular => "popular",
            Self::History { .. } => Self::HISTORY,
            Self::Stream { .. } => "stream",
            Self::Chart | Self::Asset(_) => "page",
            Self::Live => "livez",
            Self::Ready => "readyz",
            Self::Feed => "feed",
            Self::Metrics => "metrics",
            Self::OpenApi => "openapi",
        }
    }

    /// Returns the users that the route is for. A separate listener can serve the routes for operators.
    pub const fn audience(&self) -> Audience {
        match self {
            Self::Start
            | Self::Listing(_)
            | Self::Popular
            | Self::History { .. }
            | Self::Stream { .. }
            | Self::OpenApi
            | Self::Chart
            | Self::Asset(_) => Audience::Readers,
            Self::Feed | Self::Metrics => Audience::Operators,
            Self::Live | Self::Ready => Audience::Everyone,
        }
    }

    /// Returns true if no cache may store the response.
    pub const fn forbids_caching(&self) -> bool {
        matches!(self, Self::Start | Self::Live | Self::Ready | Self::Feed | Self::Metrics)
    }
}

#[cfg(test)]
mod tests;
