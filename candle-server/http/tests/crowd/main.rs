//! Tests the server with thousands of idle clients, hundreds of partial requests and many broken requests.
//!
//! Valid requests are served, and memory does not grow. The test runs in its own process, because it measures the
//! memory of the process.
#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

#[path = "../server/client.rs"]
#[allow(dead_code, reason = "the rest is for the tests of the server")]
mod client;
#[path = "../server/test_server.rs"]
#[allow(dead_code, reason = "the rest is for the tests of the server")]
mod test_server;

use candle_http::server::Limits;
use client::{Client, eventually};
use test_server::TestServer;

const IDLE: usize = 3000;
const HALF_SENT: usize = 300;
/// The number of file descriptors that the test needs.
///
/// Each client and each server socket needs one. The margin is 400.
const DESCRIPTORS: u64 = 2 * (IDLE + HALF_SENT) as u64 + 400;
/// The most bytes that an idle connection may use after its first response.
const IDLE_BYTES: usize = 16 << 10;
/// The most bytes by which the process may grow while broken requests are sent.
const SCAN_BYTES: usize = 200 << 20;
const SCANS: usize = 40;

#[test]
fn idle_partial_and_broken_clients_neither_block_good_ones_nor_leak_memory() {
    assert!(rlimit::increase_nofile_limit(DESCRIPTORS).unwrap() >= DESCRIPTORS, "needs {DESCRIPTORS} open files");
    let server = TestServer::start(Limits::default());
    // The first connections allocate memory that is never freed.
    (0..50).for_each(|_| server.is_fine());
    let before = resident_bytes();
    let idle: Vec<Client> = (0..IDLE).map(|_| served(&server)).collect();
    let each = resident_bytes().saturating_sub(before) / IDLE;
    println!("an idle connection uses {each} bytes");
    assert!(each <= IDLE_BYTES, "an idle connection uses {each} bytes");

    let half: Vec<Client> = (0..HALF_SENT).map(|_| half_sent(&server)).collect();
    eventually("all connections are served", || server.inner.connections() == IDLE + HALF_SENT);
    (0..100).for_each(|_| server.is_fine());
    drop((idle, half));
    eventually("all connections are closed", || server.inner.connections() == 0);

    let before = resident_bytes();
    for _ in 0..SCANS {
        broken().iter().for_each(|request| check_rejected(&server, request));
    }
    let more = resident_bytes().saturating_sub(before);
    assert!(more <= SCAN_BYTES, "the process grew by {more} bytes during the scans");
    assert_eq!(server.inner.metrics().panics.get(), 0);
    server.is_fine();
}

fn served(server: &TestServer) -> Client {
    let mut client = server.connect();
    client.send("GET /instruments/good HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 200);
    client
}

fn half_sent(server: &TestServer) -> Client {
    let mut client = server.connect();
    client.send("GET /instruments/good HTTP/1.1\r\nHo");
    client
}

/// Sends a broken request and checks that the server responds with a 4xx or closes the connection.
fn check_rejected(server: &TestServer, request: &[u8]) {
    let mut client = server.connect();
    client.try_send(request);
    client.finish_sending();
    let response = client.rest();
    let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
    assert!(
        response.is_empty() || response.starts_with(b"HTTP/1.1 4"),
        "{shown:?}: {:?}",
        String::from_utf8_lossy(&response)
    );
}

fn broken() -> Vec<Vec<u8>> {
    let host = "Host: a\r\n";
    let huge = |bytes: usize| "x".repeat(bytes);
    let texts = [
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\n{host}{host}\r\n"),
        format!("GET /\0 HTTP/1.1\r\n{host}\r\n"),
        format!("GET / HTTP/1.1\r\n{host}X: \0\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}X : y\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        format!("GET / HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked, identity\r\n\r\nffffffffffffffff\r\n"),
        format!("GET /{} HTTP/1.1\r\n{host}\r\n", huge(1 << 20)),
        format!("GET / HTTP/1.1\r\n{host}X: {}\r\n\r\n", huge(1 << 20)),
        format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X: y\r\n".repeat(5000)),
        format!("{} / HTTP/1.1\r\n{host}\r\n", huge(1 << 16)),
        format!("POST / HTTP/1.1\r\n{host}Content-Length: 1048576\r\n\r\n{}", huge(1 << 20)),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}".to_owned(),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

/// Returns the resident memory of this process (bytes).
fn resident_bytes() -> usize {
    /// The page size on the CI machines (bytes). With another page size, all results are wrong by the same factor.
    const PAGE: usize = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * PAGE
}
