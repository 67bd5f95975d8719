//! What each route answers.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::{Gaps, Popular};
use futures_util::stream;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Response};

use crate::http::{self, Answer, Body, Verb};
use crate::json::{self, Moment};
use crate::market::Market;
#[cfg(feature = "page")]
use crate::page;
use crate::problem::Problem;
use crate::route::{Form, Format, Page, Route};
use crate::streams::{NotOpened, Streams};
use crate::{lightweight, sse};

/// How many of the most viewed instruments are shown.
const POPULAR: usize = 10;

/// What `GET /` has always answered.
const STARTED: &str = "\"Aggregator thread is started...\"";

/// The answers, out of one market.
#[derive(Debug)]
pub struct Api {
    market: Arc<Market>,
    streams: Streams,
}

impl Answer for Api {
    fn answer(&self, verb: Verb, route: &Route<'_>, headers: &HeaderMap) -> Response<Body> {
        match route {
            Route::Start => self.start(verb),
            Route::Listing(page) => self.listing(page),
            Route::Popular => self.popular(),
            Route::History { id, form } => self.history(verb, id, *form),
            Route::Stream { ids, form } => self.stream(verb, ids, *form, headers),
            #[cfg(feature = "page")]
            Route::Chart => page::chart(headers),
            #[cfg(feature = "page")]
            Route::Asset(name) => page::asset(name, headers),
            Route::Live => http::json("{\"status\":\"live\"}"),
            Route::Ready => self.ready(),
        }
    }
}

impl Api {
    /// The answers out of `market`, with at most `most_streams` streams open at a time.
    pub fn new(market: Arc<Market>, most_streams: usize) -> Self {
        Self { streams: Streams::new(Arc::clone(&market), most_streams), market }
    }

    fn start(&self, verb: Verb) -> Response<Body> {
        if verb == Verb::Get {
            self.market.start();
        }
        http::json(STARTED)
    }

    fn history(&self, verb: Verb, id: &str, form: Form) -> Response<Body> {
        let aggregator = &self.market.aggregator;
        let read = match verb {
            Verb::Get => aggregator.view(id),
            Verb::Head => aggregator.history(id),
        };
        let Some(history) = read else {
            return http::problem(Problem::UnknownInstrument, &format!("No instrument `{id}` is listed."));
        };
        let moment = Moment { now: self.market.clock.now(), status: self.market.status(&history) };
        let mut body = Vec::new();
        match form.format {
            Format::Full => json::history(&mut body, id, &history, form.gaps, moment),
            Format::Lightweight => lightweight::history(&mut body, &history, form.gaps, moment.now),
        }
        http::json(body)
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

    fn popular(&self) -> Response<Body> {
        let mut top: Vec<Popular> = Vec::with_capacity(POPULAR);
        self.market.aggregator.top(POPULAR, &mut top);
        let now = self.market.clock.now();
        // Delisted since the top was read: left out.
        let read = |popular: Popular| Some((self.market.aggregator.history(popular.id.as_str())?, popular.id));
        let mut histories: Vec<_> = top.into_iter().filter_map(read).collect();
        // Views went on being counted meanwhile: the order is that of the counts shown.
        histories.sort_by(|(a, a_id), (b, b_id)| b.views.cmp(&a.views).then_with(|| a_id.cmp(b_id)));
        let mut body = Vec::new();
        json::array(&mut body, histories.iter(), |out, (history, id)| {
            let moment = Moment { now, status: self.market.status(history) };
            json::history(out, id.as_str(), history, Gaps::Filled, moment);
        });
        http::json(body)
    }

    fn listing(&self, page: &Page<'_>) -> Response<Body> {
        let limit = usize::from(page.limit);
        // One more than asked for tells whether there is a next page.
        let mut found = self.market.aggregator.page(page.after.as_deref(), &page.prefix, limit + 1);
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|summary| summary.id.clone());
        let mut body = Vec::new();
        json::listing(&mut body, &found, next.as_ref().map(candle_core::InstrumentId::as_str));
        http::json(body)
    }

    fn ready(&self) -> Response<Body> {
        if self.market.is_stopping() {
            return http::problem(Problem::NotReady, "The server is stopping.");
        }
        http::json("{\"status\":\"ready\"}")
    }
}
