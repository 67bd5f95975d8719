//! What each route answers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{InstrumentId, Latest, Popular, Timestamp, Update};
use futures_util::stream;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Response};
use parking_lot::Mutex;

use crate::document::Document;
use crate::engine::Engine;
use crate::http::{self, Answer, Body, Representation, Verb};
use crate::json::{self, Moment};
#[cfg(feature = "page")]
use crate::page;
use crate::problem::Problem;
use crate::rendering::{KEPT, Rendering, Renderings};
use crate::route::{Form, Page, Route};
use crate::sse;
use crate::streams::{self, NotOpened, Streams};

/// How many of the most viewed instruments are shown.
const POPULAR: usize = 10;
/// How many stand by for those of them that are delisted between being ranked and being written.
const STAND_BY: usize = 10;
const _: () = assert!(POPULAR + STAND_BY <= candle_core::MAX_TOP);
/// How long the answer about them may be reused: no eye sees it, and it makes ten histories cost what one costs.
const POPULAR_REUSE: Duration = Duration::from_millis(100);

/// What `GET /` has always answered.
const STARTED: &str = "\"Aggregator thread is started...\"";

/// The answers, out of one engine.
#[derive(Debug)]
pub struct Api {
    engine: Arc<Engine>,
    streams: Streams,
    renderings: Renderings,
    popular: Mutex<Option<Kept>>,
    readiness: Readiness,
}

/// What a server needs in order to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// To run.
    Alone,
    /// To run, and a feed that brings quotes.
    WithFeed,
}

/// An answer, when it was asked for and when someone last set out to write a newer one, by the server's monotonic clock.
#[derive(Debug)]
struct Kept {
    written: Duration,
    renewed: Duration,
    representation: Representation,
}

impl Answer for Api {
    fn answer(&self, verb: Verb, route: &Route<'_>, headers: &HeaderMap) -> Response<Body> {
        match route {
            Route::Start => self.start(verb),
            Route::Listing(page) => self.listing(page, headers),
            Route::Popular => self.popular(headers),
            Route::History { id, form } => self.history(verb, id, *form, headers),
            Route::Stream { ids, form } => self.stream(verb, ids, *form, headers),
            #[cfg(feature = "page")]
            Route::Chart => page::chart(headers),
            #[cfg(feature = "page")]
            Route::Asset(name) => page::asset(name, headers),
            Route::Live => http::json("{\"status\":\"live\"}"),
            Route::Ready => self.ready(),
            Route::Feed => self.feed(),
            Route::Metrics | Route::Description => http::problem(Problem::UnknownPath, "No route has this path."),
        }
    }
}

impl Api {
    /// The answers out of `engine`.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self::with_room(engine, KEPT)
    }

    /// The same answers with at most so many streams open at a time.
    #[must_use]
    pub fn with_streams(self, most: usize) -> Self {
        Self { streams: Streams::new(Arc::clone(&self.engine), most), ..self }
    }

    /// The same answers, but for when they say that the server is ready.
    #[must_use]
    pub fn with_readiness(self, readiness: Readiness) -> Self {
        Self { readiness, ..self }
    }

    /// The same, keeping the text of at most so many histories.
    fn with_room(engine: Arc<Engine>, kept: usize) -> Self {
        let streams = Streams::new(Arc::clone(&engine), streams::MOST);
        let renderings = Renderings::new(kept);
        Self { engine, streams, renderings, popular: Mutex::default(), readiness: Readiness::Alone }
    }

    fn start(&self, verb: Verb) -> Response<Body> {
        if verb == Verb::Get {
            self.engine.start();
        }
        http::json(STARTED)
    }

    fn history(&self, verb: Verb, id: &str, form: Form, headers: &HeaderMap) -> Response<Body> {
        match self.engine.at_one_instant(|now| self.write(id, form, verb, now)) {
            Some((document, _)) => Representation::from(document).respond(headers),
            None => http::problem(Problem::UnknownInstrument, &format!("No instrument `{id}` is listed.")),
        }
    }

    /// One history as seen from `now`, with its views as shown, or `None` where it is not listed. Only a [`Verb::Get`]
    /// counts a view.
    fn write(&self, id: &str, form: Form, verb: Verb, now: Timestamp) -> Option<(Document, u64)> {
        let coverage = self.engine.feeds.coverage(now);
        let kept = self.renderings.get(id, form).filter(|kept| kept.coverage() == coverage);
        let known = kept.as_deref().map(Rendering::version);
        let update = match verb {
            Verb::Get => self.engine.aggregator.history_if_changed_counting_view(id, now, known),
            Verb::Head => self.engine.aggregator.history_if_changed(id, now, known),
        };
        let (rendering, latest) = match (update?, kept) {
            (Update::Unchanged(latest), Some(kept)) => (kept, latest),
            (Update::Changed(history, version), _) => {
                let rendering = Arc::new(Rendering::new(id, &history, version, form, now, coverage));
                self.renderings.keep(id, &rendering);
                (rendering, Latest::from(&*history))
            }
            // Nothing is the same as what nobody knows.
            (Update::Unchanged(_), None) => return None,
        };
        let status = self.engine.status(&latest, rendering.usual_gap());
        Some((rendering.document(&latest, Moment { now, status, coverage }), latest.views))
    }

    fn stream(&self, verb: Verb, ids: &[Cow<'_, str>], form: Form, headers: &HeaderMap) -> Response<Body> {
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(sse::last_event);
        let events = match self.streams.open(ids, form, last) {
            Ok(events) => events,
            Err(error @ NotOpened::Unlisted) => return http::problem(Problem::UnknownInstrument, &error.to_string()),
            Err(error @ NotOpened::Full { .. }) => return http::problem(Problem::TooManyStreams, &error.to_string()),
        };
        let mut response = Response::new(match verb {
            Verb::Get => Body::events(events),
            Verb::Head => Body::events(stream::empty()),
        });
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(sse::MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        // Asks nginx, and what follows its custom, not to hold events back.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    fn popular(&self, headers: &HeaderMap) -> Response<Body> {
        let elapsed = self.engine.clock.elapsed();
        let kept = self.fresh_popular(elapsed);
        let representation = kept.unwrap_or_else(|| {
            let representation = Representation::from(self.write_popular()).reusable();
            self.keep_popular(Kept { written: elapsed, renewed: elapsed, representation: representation.clone() });
            representation
        });
        representation.respond(headers)
    }

    /// The kept answer, or `None` for the caller who is to write it anew. While one writes, others get the one there is,
    /// unless that is older than two reuses: then nobody asked for a while, and all write.
    fn fresh_popular(&self, elapsed: Duration) -> Option<Representation> {
        let mut popular = self.popular.lock();
        let kept = popular.as_mut()?;
        let (age, since_renewal) = (elapsed.saturating_sub(kept.written), elapsed.saturating_sub(kept.renewed));
        if age < POPULAR_REUSE || (age < 2 * POPULAR_REUSE && since_renewal < POPULAR_REUSE) {
            return Some(kept.representation.clone());
        }
        kept.renewed = elapsed;
        None
    }

    /// Keeps an answer, unless a newer one came first.
    fn keep_popular(&self, answer: Kept) {
        let mut popular = self.popular.lock();
        if popular.as_ref().is_none_or(|kept| kept.written <= answer.written) {
            *popular = Some(answer);
        }
    }

    fn write_popular(&self) -> Document {
        let mut top: Vec<Popular> = Vec::with_capacity(POPULAR + STAND_BY);
        self.engine.aggregator.top(POPULAR + STAND_BY, &mut top);
        self.write_first(&top)
    }

    /// Writes the first ten of `top` that are still listed.
    fn write_first(&self, top: &[Popular]) -> Document {
        let write = |now| {
            let histories = top.iter().filter_map(|Popular { id, .. }| {
                let (history, views) = self.write(id.as_str(), Form::default(), Verb::Head, now)?;
                Some((views, id, history))
            });
            histories.take(POPULAR).collect::<Vec<_>>()
        };
        let mut histories = self.engine.at_one_instant(write);
        // Views went on being counted meanwhile: the order is that of the counts shown.
        histories.sort_by(|(a, a_id, _), (b, b_id, _)| b.cmp(a).then_with(|| a_id.cmp(b_id)));
        let mut document = Document::default();
        document.array(histories, |document, (_, _, history)| document.append(&history));
        document
    }

    fn listing(&self, page: &Page<'_>, headers: &HeaderMap) -> Response<Body> {
        let limit = usize::from(page.limit);
        // One more than asked for tells whether there is a next page.
        let mut found = self.engine.aggregator.page(page.after.as_deref(), &page.prefix, limit + 1);
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|summary| summary.id.clone());
        let mut document = Document::default();
        document.ignored(|out| out.extend_from_slice(b"{\"instruments\":"));
        document.array(found, |document, summary| {
            document.counted(|out| json::summary(out, &summary));
            document.ignored(|out| {
                json::views(out, summary.views);
                out.push(b'}');
            });
        });
        document.counted(|out| {
            json::next(out, next.as_ref().map(InstrumentId::as_str));
            out.push(b'}');
        });
        Representation::from(document).respond(headers)
    }

    /// Whether to send requests here. A feed that is gone is gone for every replica: it takes none of them out unless
    /// that is asked for.
    fn ready(&self) -> Response<Body> {
        if self.engine.is_stopping() {
            return http::problem(Problem::NotReady, "The server is stopping.");
        }
        let feed = self.engine.feeds.inspect(|failover| failover.state(self.engine.clock.elapsed()));
        if self.readiness == Readiness::WithFeed && !feed.is_healthy() {
            return http::problem(Problem::NotReady, &format!("The feed is {}.", feed.name()));
        }
        let elapsed = self.engine.clock.elapsed();
        let store = self.engine.journal().map(|journal| journal.durability(elapsed));
        let store = store.map_or(String::new(), |store| format!(",\"store\":\"{}\"", store.name()));
        http::json(format!("{{\"status\":\"ready\",\"feed\":\"{}\"{store}}}", feed.name()))
    }

    fn feed(&self) -> Response<Body> {
        let report = self.engine.feeds.report(self.engine.clock.reading());
        // Plain fields always serialise.
        http::json(serde_json::to_vec(&report).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
