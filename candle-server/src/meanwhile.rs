//! What is answered until there is something to answer with.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use hyper::{HeaderMap, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Listeners;
use crate::http::{self, Answer, Body, Limits, Server, Verb};
use crate::problem::Problem;
use crate::route::Route;

/// Answers whoever connects to `listeners` that the server is not ready yet, for `why`, until the set is shut down.
///
/// # Errors
/// Where the sockets can't be shared.
pub(crate) fn answer(listeners: &Listeners, why: &'static str) -> io::Result<JoinSet<()>> {
    let server = Arc::new(Server::new(Recovering { why }, Limits::default()));
    let mut meanwhile = JoinSet::new();
    for listener in std::iter::once(&listeners.public).chain(&listeners.admin) {
        let socket = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?);
        meanwhile.spawn(Arc::clone(&server).serve(TcpListener::from_std(socket)?, std::future::pending()));
    }
    Ok(meanwhile)
}

struct Recovering {
    why: &'static str,
}

impl Answer for Recovering {
    fn answer(&self, _: Verb, route: &Route<'_>, _: &HeaderMap) -> Response<Body> {
        match route {
            Route::Live => http::json("{\"status\":\"live\"}"),
            _ => http::problem(Problem::NotReady, self.why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanwhile_it_is_alive_and_not_ready() {
        let recovering = Recovering { why: "" };
        let status = |route| recovering.answer(Verb::Get, &route, &HeaderMap::new()).status().as_u16();
        assert_eq!([status(Route::Live), status(Route::Ready), status(Route::Popular)], [200, 503, 503]);
    }
}
