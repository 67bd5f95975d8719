//! Tests the shutdown: the server responds to requests in flight and closes all other connections.

use std::time::{Duration, Instant};

use candle_http::server::Limits;

use crate::client::{GUARD, eventually};
use crate::test_server::TestServer;

#[test]
fn a_request_in_flight_is_answered_and_its_connection_closed() {
    let mut server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send("GET /instruments/wait HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request is being handled", || server.fake.waiting() == 1);
    server.stop();
    server.release.send(()).unwrap();
    assert_eq!(client.response().text(), "\"wait\"");
    assert_eq!(client.rest(), b"");
    server.wait_stopped();
}

#[test]
fn idle_connections_are_closed_at_once() {
    let mut server = TestServer::start(Limits { drain_time: GUARD * 10, ..Limits::default() });
    let mut silent = server.connect();
    let mut idle = server.connect();
    idle.send("GET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.response().status, 200);
    eventually("both connections are served", || server.inner.connections() == 2);
    server.stop();
    assert_eq!(idle.rest(), b"");
    assert_eq!(silent.rest(), b"");
    drop((idle, silent));
    server.wait_stopped();
}

#[test]
fn a_partial_request_may_still_arrive() {
    let mut server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send("GET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\nGET /instr");
    assert_eq!(client.response().status, 200);
    let mut idle = server.connect();
    idle.send("GET /instruments/5 HTTP/1.1\r\nHost: a\r\n\r\n");
    idle.response();
    server.stop();
    // The idle connection is closed, so the shutdown has begun and also affects the other connection.
    assert_eq!(idle.rest(), b"");
    client.try_send("uments/6 HTTP/1.1\r\nHost: a\r\n\r\n");
    let rest = client.rest();
    assert!(rest.is_empty() || rest.ends_with(b"\"6\""), "a whole response or none");
    server.wait_stopped();
}

#[test]
fn requests_that_exceed_the_drain_time_are_aborted() {
    let mut server = TestServer::start(Limits { drain_time: Duration::from_millis(200), ..Limits::default() });
    let mut half = server.connect();
    half.send("GET /instr");
    let mut unread = server.connect();
    unread.send("GET /instruments/large HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request is being handled", || server.fake.handled().len() == 1 && server.inner.connections() == 2);
    let start = Instant::now();
    server.stop();
    server.wait_stopped();
    assert!(start.elapsed() < Limits::default().request_time, "the drain time, not a later timeout");
    half.rest();
}
