//! Which routes a listener shows, and those that tell about the server itself.

use bytes::Bytes;
use hyper::{HeaderMap, Response};
use tokio::sync::watch;

use crate::api::Api;
use crate::http::{self, Answer, Body, Verb};
use crate::metrics::{self, Metrics};
use crate::problem::Problem;
use crate::route::{Audience, Route};

/// The routes that a listener shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// All of them.
    All,
    /// What readers ask.
    Public,
    /// What operators ask.
    Admin,
}

impl Shown {
    const fn shows(self, audience: Audience) -> bool {
        match (self, audience) {
            (Self::All, _)
            | (_, Audience::Everyone)
            | (Self::Public, Audience::Readers)
            | (Self::Admin, Audience::Operators) => true,
            (Self::Public, Audience::Operators) | (Self::Admin, Audience::Readers) => false,
        }
    }
}

/// The answers out of one engine.
#[derive(Debug)]
pub struct Answers {
    /// What is in it.
    pub api: Api,
    /// What was counted.
    pub metrics: Metrics,
}

/// What one listener answers.
#[derive(Clone, Debug)]
pub struct Face {
    /// The answers; where another engine takes the place of the one before, the next request has those out of that one.
    pub answers: watch::Receiver<Answers>,
    /// Which of them can be asked for here.
    pub shown: Shown,
}

impl Answer for Face {
    fn answer(&self, verb: Verb, route: &Route<'_>, headers: &HeaderMap) -> Response<Body> {
        if !self.shown.shows(route.audience()) {
            return http::problem(Problem::UnknownPath, "No route has this path.");
        }
        let answers = self.answers.borrow();
        match route {
            Route::Metrics => http::text(metrics::MEDIA_TYPE, answers.metrics.text()),
            Route::Description => http::text("application/yaml", Bytes::from_static(DESCRIPTION.as_bytes())),
            _ => answers.api.answer(verb, route, headers),
        }
    }
}

/// What every route takes and answers, in the words of `OpenAPI` 3.1.
const DESCRIPTION: &str = include_str!("../openapi.yaml");
