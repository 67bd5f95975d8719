//! What each route answers.

use std::sync::Arc;

use bytes::Bytes;
use candle_core::{Gaps, Popular};
use hyper::{HeaderMap, Response};

use crate::http::{self, Answer, Verb};
use crate::json::{self, Moment};
use crate::market::Market;
use crate::problem::Problem;
use crate::route::{Page, Route};

/// How many of the most viewed instruments are shown.
const POPULAR: usize = 10;

/// What `GET /` has always answered.
const STARTED: &str = "\"Aggregator thread is started...\"";

/// The answers, out of one market.
#[derive(Clone, Debug)]
pub struct Api {
    market: Arc<Market>,
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

impl Answer for Api {
    fn answer(&self, verb: Verb, route: &Route<'_>, _: &HeaderMap) -> Response<Bytes> {
        match route {
            Route::Start => self.start(verb),
            Route::Listing(page) => self.listing(page),
            Route::Popular => self.popular(),
            Route::History { id, gaps } => self.history(verb, id, *gaps),
            Route::Live => http::json("{\"status\":\"live\"}"),
            Route::Ready => self.ready(),
            Route::Feed => self.feed(),
        }
    }
}

impl Api {
    /// The answers out of `market`.
    pub const fn new(market: Arc<Market>) -> Self {
        Self { market, readiness: Readiness::Alone }
    }

    /// The same answers, but for when they say that the server is ready.
    #[must_use]
    pub fn with_readiness(self, readiness: Readiness) -> Self {
        Self { readiness, ..self }
    }

    fn start(&self, verb: Verb) -> Response<Bytes> {
        if verb == Verb::Get {
            self.market.start();
        }
        http::json(STARTED)
    }

    fn history(&self, verb: Verb, id: &str, gaps: Gaps) -> Response<Bytes> {
        let aggregator = &self.market.aggregator;
        let read = match verb {
            Verb::Get => aggregator.view(id),
            Verb::Head => aggregator.history(id),
        };
        let Some(history) = read else {
            return http::problem(Problem::UnknownInstrument, &format!("No instrument `{id}` is listed."));
        };
        let now = self.market.clock.now();
        let coverage = self.market.feeds.coverage(now);
        let moment = Moment { now, status: self.market.status(&history), coverage };
        let mut body = Vec::new();
        json::history(&mut body, id, &history, gaps, moment);
        http::json(body)
    }

    fn popular(&self) -> Response<Bytes> {
        let mut top: Vec<Popular> = Vec::with_capacity(POPULAR);
        self.market.aggregator.top(POPULAR, &mut top);
        let now = self.market.clock.now();
        let coverage = self.market.feeds.coverage(now);
        // Delisted since the top was read: left out.
        let read = |popular: Popular| Some((self.market.aggregator.history(popular.id.as_str())?, popular.id));
        let mut histories: Vec<_> = top.into_iter().filter_map(read).collect();
        // Views went on being counted meanwhile: the order is that of the counts shown.
        histories.sort_by(|(a, a_id), (b, b_id)| b.views.cmp(&a.views).then_with(|| a_id.cmp(b_id)));
        let mut body = Vec::new();
        json::array(&mut body, histories.iter(), |out, (history, id)| {
            let moment = Moment { now, status: self.market.status(history), coverage };
            json::history(out, id.as_str(), history, Gaps::Filled, moment);
        });
        http::json(body)
    }

    fn listing(&self, page: &Page<'_>) -> Response<Bytes> {
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

    /// Whether to send requests here. A feed that is gone is gone for every replica: it takes none of them out unless
    /// that is asked for.
    fn ready(&self) -> Response<Bytes> {
        if self.market.is_stopping() {
            return http::problem(Problem::NotReady, "The server is stopping.");
        }
        let feed = self.market.feeds.state(self.market.clock.elapsed());
        if self.readiness == Readiness::WithFeed && !feed.is_healthy() {
            return http::problem(Problem::NotReady, &format!("The feed is {}.", feed.name()));
        }
        http::json(format!("{{\"status\":\"ready\",\"feed\":\"{}\"}}", feed.name()))
    }

    fn feed(&self) -> Response<Bytes> {
        let report = self.market.feeds.report(self.market.clock.reading());
        // Plain fields always serialise.
        http::json(serde_json::to_vec(&report).unwrap_or_default())
    }
}
