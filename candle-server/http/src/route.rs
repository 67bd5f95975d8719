//! The routes: a method and a target in, a [`Route`] or a [`RouteError`] out.
//!
//! The path is split at `/` before it is decoded, so that `BTC%2FUSD` is one segment. `+` is an ordinary character in
//! the path and in the query; a space is `%20`. Paths are not normalised: empty segments and `..` are ordinary segments.

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

/// A resource that can be read.
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
        /// The instrument: well formed, not necessarily listed.
        id: Cow<'t, str>,
        /// The query.
        options: HistoryOptions,
    },
    /// `/instruments/{id}/stream` and `/stream?ids=`: histories, followed by their changes.
    Stream {
        /// The instruments: 1 to [`MAX_STREAMED`], distinct and well formed, not necessarily listed.
        ids: Vec<Cow<'t, str>>,
        /// The query.
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

/// The people that a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Readers of candles.
    Readers,
    /// Operators of the server.
    Operators,
    /// Both.
    Everyone,
}

/// The id that no instrument can have, because `/instruments/popular` is a path of its own. The settings of the core reserve
/// it; see [`Config::with_reserved_id`](candle_core::Config::with_reserved_id).
pub const RESERVED_ID: &str = "popular";

impl<'t> Route<'t> {
    /// The [`name`](Self::name) of [`Route::History`].
    pub const HISTORY: &'static str = "history";
    /// The names of the routes that nearly all requests have.
    pub const FREQUENT: [&'static str; 2] = [Self::HISTORY, "popular"];

    /// Parses the method and the target of a request. Returns `None` for `OPTIONS`, which needs no route.
    ///
    /// The target is a path with or without a query, or `*` for `OPTIONS`.
    ///
    /// # Errors
    /// The first [`RouteError`] in this order: path, method, id, query.
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
        // The search for a `char` is optimised for longer texts than segments.
        let is_slash: fn(char) -> bool = |character| character == '/';
        let mut segments = path.strip_prefix('/').ok_or(RouteError::UnknownPath)?.split(is_slash);
        // Four segments tell every route from longer paths. The rest of the path is not scanned.
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

    /// The value of the metric label `route`.
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

    /// The people that the route is for. The routes of operators can be moved to a listener of their own.
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
