//! Tests each limit with a request just inside and a request just outside.

use std::io::Read;
use std::time::Duration;

use candle_http::server::Limits;

use crate::client::eventually;
use crate::test_server::{LARGE, TestServer};

/// A short timeout for the tests, which still suffices for a request on a loaded machine.
const SHORT: Duration = Duration::from_secs(1);

#[test]
fn a_client_that_sends_nothing_is_closed_without_a_response() {
    let server = TestServer::start(Limits { request_time: SHORT, ..Limits::default() });
    assert_eq!(server.connect().rest(), b"");
    eventually("the timeout is counted", || server.inner.metrics().timeouts.get() == 1);
}

#[test]
fn half_requests_end_in_408_while_good_clients_are_served() {
    let server = TestServer::start(Limits { request_time: SHORT, ..Limits::default() });
    let halves = ["G", "GET /instr", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b"];
    let half_sent = |half: &&str| {
        let mut client = server.connect();
        client.send(half);
        client
    };
    let mut clients: Vec<_> = halves.iter().cycle().take(300).map(half_sent).collect();
    while server.inner.metrics().timeouts.get() < 300 {
        server.is_fine();
    }
    for client in &mut clients {
        client.response().is_problem(408, "timeout");
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn single_bytes_do_not_extend_the_request_time() {
    let server = TestServer::start(Limits { request_time: SHORT, ..Limits::default() });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nX-Long: ");
    client.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut first = [0];
    // Until the server responds, each read waits for its timeout, and the loop sends another byte.
    while client.socket.read(&mut first).is_err() {
        client.try_send("x");
    }
    assert_eq!(server.inner.metrics().timeouts.get(), 1);
    assert!(server.fake.handled().is_empty());
}

#[test]
fn request_time_and_idle_time_are_separate() {
    let limits = Limits { request_time: SHORT, idle_time: SHORT * 3, ..Limits::default() };
    let server = TestServer::start(limits);
    let mut client = server.connect();
    client.send("GET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response();
    client.send("GET /inst");
    client.response().is_problem(408, "timeout");

    let mut client = server.connect();
    client.send("GET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response();
    let begun = std::time::Instant::now();
    assert_eq!(client.rest(), b"");
    assert!(begun.elapsed() >= SHORT * 2, "the idle time is longer");
}

#[test]
fn a_partial_request_after_a_whole_one_times_out() {
    let server = TestServer::start(Limits { request_time: SHORT, idle_time: SHORT, ..Limits::default() });
    let mut client = server.connect();
    client.send("GET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\nGET /ins");
    assert_eq!(client.response().status, 200);
    client.response().is_problem(408, "timeout");
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_client_that_does_not_read_is_closed() {
    let server = TestServer::start(Limits { response_time: SHORT, ..Limits::default() });
    let mut client = server.connect();
    client.send("GET /instruments/large HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the connection is closed", || {
        server.inner.metrics().timeouts.get() == 1 && server.inner.connections() == 0
    });
    assert!(client.rest().len() < LARGE);
}

#[test]
fn a_client_that_reads_byte_by_byte_is_closed() {
    let server = TestServer::start(Limits { response_time: SHORT, ..Limits::default() });
    let mut client = server.connect();
    client.send("GET /instruments/large HTTP/1.1\r\nHost: a\r\n\r\n");
    while server.inner.metrics().timeouts.get() == 0 {
        client.socket.read_exact(&mut [0]).unwrap();
    }
    assert!(client.rest().len() < LARGE);
}

#[test]
fn a_target_may_have_8_kib_and_no_more() {
    let server = TestServer::start(Limits::default());
    let most = Limits::default().target_bytes;
    let mut client = server.connect();
    for (bytes, status, kind) in [(most, 404, "unknown-path"), (most + 1, 414, "target-too-long")] {
        client.send(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(bytes - 1)));
        client.response().is_problem(status, kind);
    }
}

#[test]
fn headers_are_limited_in_number_and_size() {
    let server = TestServer::start(Limits::default());
    let limits = Limits::default();
    let with = |headers: &str| {
        let mut client = server.connect();
        client.send(format!("GET /instruments/4 HTTP/1.1\r\nHost: a\r\n{headers}\r\n"));
        client.response()
    };
    assert_eq!(with(&"X: y\r\n".repeat(limits.headers - 1)).status, 200);
    with(&"X: y\r\n".repeat(limits.headers)).is_problem(431, "headers-too-large");
    // To more headers than the parser accepts, the parser itself responds with a 431 without a problem document.
    assert_eq!(with(&"X: y\r\n".repeat(Limits::MAX_HEADERS)).status, 431);

    let rest = limits.header_bytes - "host".len() - "a".len() - "x".len();
    assert_eq!(with(&format!("X: {}\r\n", "y".repeat(rest))).status, 200);
    with(&format!("X: {}\r\n", "y".repeat(rest + 1))).is_problem(431, "headers-too-large");
    assert_eq!(with(&format!("X: {}\r\n", "y".repeat(200_000))).status, 431);
}

#[test]
fn a_body_is_rejected_unread_and_never_parsed_as_a_request() {
    let server = TestServer::start(Limits::default());
    let smuggled = "GET /instruments/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let bodies = [
        format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("Content-Length: 10000000000\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n{smuggled}"),
        "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n".to_owned(),
    ];
    for body in bodies {
        for (method, status, kind) in [("GET", 413, "unexpected-body"), ("POST", 405, "method-not-allowed")] {
            let mut client = server.connect();
            client.send(format!("{method} /instruments/4 HTTP/1.1\r\nHost: a\r\n{body}"));
            let reply = client.response();
            reply.is_problem(status, kind);
            assert_eq!(reply.header("connection"), Some("close"));
            assert_eq!(client.rest(), b"", "{body}");
        }
    }
    assert!(server.fake.handled().is_empty());
}

#[test]
fn a_rejected_upload_may_continue_while_its_response_is_read() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client.response().is_problem(413, "unexpected-body");
    assert_eq!(client.rest(), b"");
    // If the server had closed the socket, the first send would cause a reset, and a later send would fail. A reset can
    // destroy the response before the client reads it.
    for _ in 0..100 {
        server.is_fine();
        client.send([b'x'; 1000]);
    }
}

#[test]
fn connections_over_the_limit_wait_for_a_permit() {
    let server = TestServer::start(Limits { connections: 2, ..Limits::default() });
    let mut first = server.connect();
    first.send("GET /instruments/first HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(first.response().header("connection"), None);
    let mut second = server.connect();
    second.send("GET /inst");
    eventually("both permits are in use", || server.inner.connections() == 2);
    let mut third = server.connect();
    third.send("GET /instruments/third HTTP/1.1\r\nHost: a\r\n\r\n");

    // No permit is free, so the server closes the connection after the next response.
    first.send("GET /instruments/again HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(first.response().header("connection"), Some("close"));
    assert_eq!(first.rest(), b"");
    drop(first);
    assert_eq!(third.response().text(), "\"third\"");
    assert_eq!(server.fake.handled(), ["GET first", "GET again", "GET third"]);
    second.send("ruments/second HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(second.response().text(), "\"second\"");
}

#[test]
fn a_client_that_does_not_read_its_stream_buffers_little_and_is_closed() {
    let server = TestServer::start(Limits { response_time: Duration::from_millis(300), ..Limits::default() });
    let mut client = server.connect();
    client.send("GET /instruments/flood HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the client is closed", || {
        server.inner.metrics().timeouts.get() == 1 && server.inner.connections() == 0
    });
    let received = client.rest().len();
    let ours = Limits::default().target_bytes + Limits::default().header_bytes + 64 * 1024;
    // The kernel buffers a part of the sent bytes. The server buffers the rest, which must be little.
    assert!(
        server.fake.polled_bytes() < received + 8 * 1024 * 1024 + ours,
        "{} polled, {received} received",
        server.fake.polled_bytes()
    );
}

#[test]
fn connections_of_one_address_are_limited() {
    let server = TestServer::start(Limits { connections_per_address: Some(2), ..Limits::default() });
    let open = [server.connect(), server.connect()];
    eventually("both connections are served", || server.inner.connections() == 2);
    assert_eq!(server.connect().rest(), b"");
    assert_eq!(server.inner.metrics().rejected_connections.get(), 1);
    drop(open);
    eventually("the permits are free again", || server.inner.connections() == 0);
    server.is_fine();
}
