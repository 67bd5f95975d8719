//! Handles all routes that read an engine.

mod popular;

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::{InstrumentId, Latest, Popular, Timestamp, Update};
use candle_engine::Engine;
use futures_util::stream;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Response};

use crate::body_writer::BodyWriter;
use crate::history::{self, CachedHistory, HistoryCache, ReadContext};
use crate::json;
use crate::page;
use crate::problem::Problem;
use crate::route::{HistoryOptions, ListingQuery, Route, RouteError};
use crate::router::{self, RouteHandler};
use crate::server::{self, Body, CacheableResponse};
pub use crate::stream::DEFAULT_LIMIT as DEFAULT_STREAM_LIMIT;
use crate::stream::{OpenError, Streams, sse};
use popular::PopularCache;

/// The number of popular instruments in a response.
const POPULAR: usize = 10;
/// The number of further instruments in the ranking. They replace popular instruments that are delisted before the
/// read.
const CANDIDATES: usize = 10;
const _: () = assert!(POPULAR + CANDIDATES <= candle_core::MAX_TOP);

/// The body of the response to `GET /`. The text must not change, because clients may compare it.
const STARTED: &str = "\"Aggregator thread is started...\"";

/// Handles the routes that read one engine.
#[derive(Debug)]
pub struct Api {
    engine: Arc<Engine>,
    streams: Streams,
    histories: HistoryCache,
    popular: PopularCache,
    readiness: Readiness,
}

/// Selects the condition under which `/readyz` succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The server is not stopping.
    Running,
    /// The server is not stopping, and the active feed is healthy.
    HealthyFeed,
}

impl RouteHandler for Api {
    fn respond(&self, method: &Method, route: &Route<'_>, headers: &HeaderMap) -> Response<Body> {
        match route {
            Route::Start => self.start(method),
            Route::Listing(query) => self.listing(query, headers),
            Route::Popular => self.popular(headers),
            Route::History { id, options } => self.history(method, id, *options, headers),
            Route::Stream { ids, options } => self.stream(method, ids, *options, headers),
            Route::Chart => page::chart(headers),
            Route::Asset(name) => page::asset(name, headers),
            Route::Live => server::json("{\"status\":\"live\"}"),
            Route::Ready => self.ready(),
            Route::Feed => self.feed(),
            Route::Metrics | Route::OpenApi => router::reject(RouteError::UnknownPath),
        }
    }
}

impl Api {
    /// Creates handlers that read `engine`.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self::with_cache_capacity(engine, history::DEFAULT_CAPACITY)
    }

    /// Sets the most streams that may be open at once. The default is [`DEFAULT_STREAM_LIMIT`].
    #[must_use]
    pub fn with_streams(self, limit: usize) -> Self {
        Self { streams: Streams::new(Arc::clone(&self.engine), limit), ..self }
    }

    /// Sets the condition under which `/readyz` succeeds. The default is [`Readiness::Running`].
    #[must_use]
    pub fn with_readiness(self, readiness: Readiness) -> Self {
        Self { readiness, ..self }
    }

    /// Creates handlers whose cache stores the text of about `capacity` histories.
    fn with_cache_capacity(engine: Arc<Engine>, capacity: usize) -> Self {
        Self {
            streams: Streams::new(Arc::clone(&engine), DEFAULT_STREAM_LIMIT),
            histories: HistoryCache::new(capacity),
            popular: PopularCache::default(),
            readiness: Readiness::Running,
            engine,
        }
    }

    fn start(&self, method: &Method) -> Response<Body> {
        if method == Method::GET {
            self.engine.start();
        }
        server::json(STARTED)
    }

    fn history(&self, method: &Method, id: &str, options: HistoryOptions, headers: &HeaderMap) -> Response<Body> {
        match self.engine.at_one_instant(|now| self.read(id, options, method, now)) {
            Some((body, _)) => CacheableResponse::from(body).respond_to(headers),
            None => server::problem(Problem::UnknownInstrument, &format!("No instrument `{id}` is listed.")),
        }
    }

    /// Reads one history and its views at `now`. Returns `None` if the instrument is not listed.
    ///
    /// Only `GET` counts a view.
    fn read(&self, id: &str, options: HistoryOptions, method: &Method, now: Timestamp) -> Option<(BodyWriter, u64)> {
        let coverage = self.engine.feeds.coverage(now);
        let cached = self.histories.get(id, options).filter(|cached| cached.coverage() == coverage);
        let known = cached.as_deref().map(CachedHistory::version);
        let update = if method == Method::GET {
            self.engine.aggregator.history_if_changed_counting_view(id, now, known)
        } else {
            self.engine.aggregator.history_if_changed(id, now, known)
        };
        let (cached, latest) = match (update?, cached) {
            (Update::Unchanged(latest), Some(cached)) => (cached, latest),
            (Update::Changed(history, version), _) => {
                let cached = Arc::new(CachedHistory::new(id, &history, version, options, now, coverage));
                self.histories.insert(id, &cached);
                (cached, Latest::from(&*history))
            }
            // This case is impossible: the core returns `Unchanged` only for a version that was passed to it.
            (Update::Unchanged(_), None) => return None,
        };
        let status = self.engine.status(&latest, cached.usual_gap());
        Some((cached.body(&latest, ReadContext { now, status, coverage }), latest.views))
    }

    fn stream(
        &self,
        method: &Method,
        ids: &[Cow<'_, str>],
        options: HistoryOptions,
        headers: &HeaderMap,
    ) -> Response<Body> {
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(sse::parse_id);
        let events = match self.streams.open(ids, options, last) {
            Ok(events) => events,
            Err(error @ OpenError::Unlisted) => return server::problem(Problem::UnknownInstrument, &error.to_string()),
            Err(error @ OpenError::TooMany { .. }) => {
                return server::problem(Problem::TooManyStreams, &error.to_string());
            }
        };
        let body = if method == Method::GET { Body::stream(events) } else { Body::stream(stream::empty()) };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(sse::MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        // This header turns off the response buffering of nginx and compatible proxies.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    fn popular(&self, headers: &HeaderMap) -> Response<Body> {
        let elapsed = self.engine.clock.elapsed();
        let response = self.popular.get(elapsed).unwrap_or_else(|| {
            let response = CacheableResponse::from(self.read_popular()).with_shared_gzip();
            self.popular.insert(elapsed, response.clone());
            response
        });
        response.respond_to(headers)
    }

    fn read_popular(&self) -> BodyWriter {
        let mut top: Vec<Popular> = Vec::with_capacity(POPULAR + CANDIDATES);
        self.engine.aggregator.top_into(POPULAR + CANDIDATES, &mut top);
        self.read_first(&top)
    }

    /// Reads the first ten instruments of `top` that are still listed.
    fn read_first(&self, top: &[Popular]) -> BodyWriter {
        let read = |now| {
            let histories = top.iter().filter_map(|Popular { id, .. }| {
                let (history, views) = self.read(id.as_str(), HistoryOptions::default(), &Method::HEAD, now)?;
                Some((views, id, history))
            });
            histories.take(POPULAR).collect::<Vec<_>>()
        };
        let mut histories = self.engine.at_one_instant(read);
        // Other requests count views between the ranking and the reads. The histories are sorted by the views in the
        // response.
        histories.sort_by(|(a, a_id, _), (b, b_id, _)| b.cmp(a).then_with(|| a_id.cmp(b_id)));
        let mut body = BodyWriter::default();
        body.array(histories, |body, (_, _, history)| body.append(&history));
        body
    }

    fn listing(&self, query: &ListingQuery<'_>, headers: &HeaderMap) -> Response<Body> {
        let limit = usize::from(query.limit);
        // One more instrument than the limit is read, to find out if there is a next page.
        let mut found = self.engine.aggregator.page(query.after.as_deref(), &query.prefix, limit + 1);
        let has_next = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_next).map(|summary| summary.id.clone());
        let mut body = BodyWriter::default();
        body.untagged(|out| out.extend_from_slice(b"{\"instruments\":"));
        body.array(found, |body, summary| {
            body.tagged(|out| json::summary(out, &summary));
            body.untagged(|out| {
                json::views(out, summary.views);
                out.push(b'}');
            });
        });
        body.tagged(|out| {
            json::next(out, next.as_ref().map(InstrumentId::as_str));
            out.push(b'}');
        });
        CacheableResponse::from(body).respond_to(headers)
    }

    /// Responds to the readiness probe.
    ///
    /// By default, a failed feed does not fail the probe, because the probe would then fail on all replicas at once.
    fn ready(&self) -> Response<Body> {
        if self.engine.is_stopping() {
            return server::problem(Problem::NotReady, "The server is stopping.");
        }
        let elapsed = self.engine.clock.elapsed();
        let feed = self.engine.feeds.inspect(|failover| failover.state(elapsed));
        if self.readiness == Readiness::HealthyFeed && !feed.is_healthy() {
            return server::problem(Problem::NotReady, &format!("The feed is {}.", feed.name()));
        }
        let store = self.engine.journal().map(|journal| journal.durability(elapsed));
        let store = store.map_or(String::new(), |store| format!(",\"store\":\"{}\"", store.name()));
        server::json(format!("{{\"status\":\"ready\",\"feed\":\"{}\"{store}}}", feed.name()))
    }

    fn feed(&self) -> Response<Body> {
        let report = self.engine.feeds.report(self.engine.clock.reading());
        // Serialising plain fields cannot fail.
        server::json(serde_json::to_vec(&report).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
