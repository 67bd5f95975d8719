//! Responds with 503 until the state is loaded. Only the liveness probe succeeds.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use hyper::{HeaderMap, Method, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::problem::Problem;
use crate::route::Route;
use crate::router::{RouteHandler, Router};
use crate::server::{self, Body, Limits, Listeners, Server};

/// Responds to each request on `listeners` with a 503 and the sentence `reason`.
///
/// The tasks run until the returned set is shut down. The liveness probe succeeds.
///
/// # Errors
/// The error if a socket cannot be duplicated.
pub fn serve(listeners: &Listeners, reason: &'static str) -> io::Result<JoinSet<()>> {
    let server = Arc::new(Server::new(Router::new(Starting { reason }), Limits::default()));
    let mut tasks = JoinSet::new();
    for listener in std::iter::once(&listeners.public).chain(&listeners.admin) {
        let socket = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?);
        tasks.spawn(Arc::clone(&server).serve(TcpListener::from_std(socket)?, std::future::pending()));
    }
    Ok(tasks)
}

struct Starting {
    reason: &'static str,
}

impl RouteHandler for Starting {
    fn respond(&self, _: &Method, route: &Route<'_>, _: &HeaderMap) -> Response<Body> {
        match route {
            Route::Live => server::json("{\"status\":\"live\"}"),
            _ => server::problem(Problem::NotReady, self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starting_server_is_alive_and_not_ready() {
        let starting = Starting { reason: "" };
        let status = |route| starting.respond(&Method::GET, &route, &HeaderMap::new()).status().as_u16();
        assert_eq!([status(Route::Live), status(Route::Ready), status(Route::Popular)], [200, 503, 503]);
    }
}
