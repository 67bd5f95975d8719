//! What each route answers.

use std::sync::Arc;

use candle_core::{Gaps, Popular};
use hyper::{HeaderMap, Response};

use crate::http::{self, Answer, Body, Verb};
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
}

impl Answer for Api {
    fn answer(&self, verb: Verb, route: &Route<'_>, _: &HeaderMap) -> Response<Body> {
        match route {
            Route::Start => self.start(verb),
            Route::Listing(page) => self.listing(page),
            Route::Popular => self.popular(),
            Route::History { id, gaps } => self.history(verb, id, *gaps),
            Route::Live => http::json("{\"status\":\"live\"}"),
            Route::Ready => self.ready(),
        }
    }
}

impl Api {
    /// The answers out of `market`.
    pub const fn new(market: Arc<Market>) -> Self {
        Self { market }
    }

    fn start(&self, verb: Verb) -> Response<Body> {
        if verb == Verb::Get {
            self.market.start();
        }
        http::json(STARTED)
    }

    fn history(&self, verb: Verb, id: &str, gaps: Gaps) -> Response<Body> {
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
        json::history(&mut body, id, &history, gaps, moment);
        http::json(body)
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
        match self.market.standing() {
            None => http::json("{\"status\":\"ready\"}"),
            Some(standing) => http::json(format!("{{\"status\":\"ready\",\"store\":\"{}\"}}", standing.name())),
        }
    }
}
