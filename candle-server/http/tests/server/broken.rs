//! Tests that the server rejects invalid requests with a 4xx or a close, and serves the next client.

use std::time::Duration;

use candle_http::server::Limits;

use crate::client::eventually;
use crate::test_server::TestServer;

const SMUGGLED: &str = "GET /instruments/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Returns a GET request with these header lines, followed by a smuggled request.
fn smuggling(headers: &str) -> Vec<u8> {
    format!("GET /instruments/4 HTTP/1.1\r\nHost: a\r\n{headers}\r\n{SMUGGLED}").into_bytes()
}

fn bad_lines() -> Vec<Vec<u8>> {
    let lines: [&[u8]; 22] = [
        b"\0",
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP\r\nHost: a\r\n\r\n",
        b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/11\r\nHost: a\r\n\r\n",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET instruments HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    lines.into_iter().map(<[u8]>::to_vec).collect()
}

fn bad_headers() -> Vec<Vec<u8>> {
    let heads: [&[u8]; 13] = [
        b"",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a\r\nHost: b\r\n",
        b"Host: a, b\r\n",
        b"Host: a b\r\n",
        b"Host: a/b\r\n",
        b"Host: u@a\r\n",
        b"Host : a\r\n",
        b"Host\r\n",
        b"Host: a\r\n folded\r\n",
        b"Host: a\r\nX: a\0b\r\n",
        b"Host: a\r\nX\0: b\r\n",
        b"Host: a\r\nX: a\rb\r\n",
    ];
    heads.into_iter().map(|head| [b"GET /instruments/4 HTTP/1.1\r\n", head, b"\r\n"].concat()).collect()
}

fn bad_lengths() -> Vec<Vec<u8>> {
    let headers = [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 0\r\nContent-Length: 48\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: five\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 18446744073709551615\r\n",
        "Content-Length:\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: \tchunked\r\n",
        "Transfer-Encoding:\u{b}chunked\r\n",
        "X: y\r\nTransfer-Encoding\r\n",
    ];
    let mut requests: Vec<_> = headers.into_iter().map(smuggling).collect();
    requests.push(format!("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}").into_bytes());
    requests
}

fn huge() -> Vec<Vec<u8>> {
    let many = "x".repeat(1 << 20);
    vec![
        many.clone().into_bytes(),
        format!("{many} / HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
        format!("GET /{many} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
        format!("GET http://{many}/ HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
        format!("GET / HTTP/{many}\r\nHost: a\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: {many}\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{many}: a\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100_000)).into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", ": \r\n".repeat(100_000)).into_bytes(),
    ]
}

#[test]
fn broken_requests_get_a_4xx_or_a_close_and_the_next_is_served() {
    let server = TestServer::start(Limits { request_time: Duration::from_millis(300), ..Limits::default() });
    for request in [bad_lines(), bad_headers(), bad_lengths(), huge()].concat() {
        let shown = String::from_utf8_lossy(&request[..request.len().min(120)]).into_owned();
        let mut client = server.connect();
        client.try_send(&request);
        client.finish_sending();
        let reply = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 4"), "{shown:?} got {reply:?}");
        assert!(reply.matches("HTTP/1.1 ").count() <= 1, "{shown:?} got {reply:?}");
        assert!(server.fake.handled().is_empty(), "{shown:?} was handled");
    }
    server.is_fine();
    assert_eq!(server.inner.metrics().panics.get(), 0);
}

#[test]
fn clients_that_disconnect_at_any_byte_leave_no_connection() {
    let server = TestServer::start(Limits::default());
    let request = b"GET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\n";
    for cut in 0..=request.len() {
        server.connect().send(&request[..cut]);
    }
    eventually("all permits are free", || server.inner.connections() == 0);
    server.is_fine();
}
