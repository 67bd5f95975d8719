//! Tests valid requests.

use std::sync::Arc;

use candle_http::server::{Limits, Origins};

use crate::client::{Client, Reply, eventually};
use crate::test_server::TestServer;

fn send(server: &TestServer, request: &str) -> Reply {
    let mut client = server.connect();
    client.send(request);
    client.response()
}

#[test]
fn a_response_has_its_media_type_and_can_be_read_by_any_page() {
    let server = TestServer::start(Limits::default());
    let reply = send(&server, "GET /instruments/BTC%2FUSD HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((reply.status, reply.text()), (200, "\"BTC/USD\""));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("cache-control"), None);
}

#[test]
fn the_start_and_the_probes_are_never_stored() {
    let server = TestServer::start(Limits::default());
    for path in ["/", "/livez", "/readyz", "/nowhere"] {
        let reply = send(&server, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[test]
fn rejections_are_problem_documents() {
    let server = TestServer::start(Limits::default());
    let cases = [
        ("GET /nowhere", 404, "unknown-path"),
        ("GET /instruments/", 404, "unknown-path"),
        ("GET /instruments/%FF", 400, "bad-id"),
        ("GET /instruments?limit=0", 400, "bad-query"),
        ("POST /instruments", 405, "method-not-allowed"),
        ("get /", 405, "method-not-allowed"),
    ];
    for (line, status, kind) in cases {
        let reply = send(&server, &format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"));
        reply.is_problem(status, kind);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        let allow = (status == 405).then_some("GET, HEAD, OPTIONS");
        assert_eq!(reply.header("allow"), allow, "{line}");
    }
}

#[test]
fn head_has_the_length_of_get_and_no_body() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    for path in ["/instruments/four", "/nowhere"] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = client.head();
        // If the response to HEAD had a body, the next response could not be parsed.
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let got = client.response();
        assert!(!got.body.is_empty());
        assert_eq!((got.status, got.header("content-length")), (head.status, head.header("content-length")), "{path}");
    }
    assert_eq!(server.fake.handled(), ["HEAD four", "GET four"]);
}

#[test]
fn options_responds_to_a_preflight() {
    let server = TestServer::start(Limits::default());
    for target in ["/instruments/4", "*"] {
        let reply = send(
            &server,
            &format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\nOrigin: b\r\nAccess-Control-Request-Method: GET\r\n\r\n"),
        );
        assert_eq!((reply.status, reply.body.len()), (204, 0));
        assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(reply.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert!(reply.header("access-control-max-age").is_some());
    }
    assert!(server.fake.handled().is_empty());
}

#[test]
fn unusual_but_valid_requests_are_served() {
    let server = TestServer::start(Limits::default());
    let requests = [
        "GET /instruments/4 HTTP/1.0\r\n\r\n",
        "GET http://example.org/instruments/4 HTTP/1.1\r\nHost: example.org\r\n\r\n",
        "GET /instruments/4 HTTP/1.1\r\nHost:\r\n\r\n",
        "GET /instruments/4 HTTP/1.1\r\nhost: [::1]:5001\r\n\r\n",
        "\r\n\r\nGET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /instruments/4 HTTP/1.1\nHost: a\n\n",
        "GET /instruments/4 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /instruments/4 HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
    ];
    for request in requests {
        let reply = send(&server, request);
        assert_eq!((reply.status, reply.text()), (200, "\"4\""), "{request:?}");
    }
}

#[test]
fn one_connection_serves_many_requests_in_turn_or_pipelined() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    for number in 0..100 {
        client.send(format!("GET /instruments/{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response().text(), format!("\"{number}\""));
    }
    let pipelined: Vec<String> =
        (0..500).map(|number| format!("GET /instruments/{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(pipelined.concat());
    for number in 0..500 {
        assert_eq!(client.response().text(), format!("\"{number}\""));
    }
}

#[test]
fn pipelined_responses_before_a_close_all_arrive() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    let close = "GET /instruments/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.send(format!("GET /instruments/1 HTTP/1.1\r\nHost: a\r\n\r\n{close}GET /instruments/3 HTTP/1.1\r\n"));
    assert_eq!(client.response().text(), "\"1\"");
    let last = client.response();
    assert_eq!((last.text(), last.header("connection")), ("\"2\"", Some("close")));
    assert_eq!(client.rest(), b"");
    assert_eq!(server.fake.handled(), ["GET 1", "GET 2"]);
}

#[test]
fn a_request_can_arrive_byte_by_byte() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.socket.set_nodelay(true).unwrap();
    for byte in b"GET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "\"4\"");
}

#[test]
fn a_panicking_handler_closes_one_connection_and_is_counted() {
    let server = TestServer::start(Limits::default());
    let mut bystander = server.connect();
    for count in 1..=3 {
        let mut client = server.connect();
        client.send("GET /instruments/panic HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.rest(), b"");
        eventually("the panic is counted", || server.inner.metrics().panics.get() == count);
    }
    bystander.send("GET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(bystander.response().status, 200);
    eventually("the permits are free again", || server.inner.connections() == 1);
}

#[test]
fn several_single_threaded_accept_loops_share_one_socket() {
    let shared = TestServer::start(Limits::default());
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(());
    let loops: Vec<_> = (0..2)
        .map(|_| {
            let socket = socket.try_clone().unwrap();
            let (server, mut stopped) = (Arc::clone(&shared.inner), stopped.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    socket.set_nonblocking(true).unwrap();
                    let listener = tokio::net::TcpListener::from_std(socket).unwrap();
                    let stop = async { drop(stopped.changed().await) };
                    server.serve(listener, stop).await;
                });
            })
        })
        .collect();
    let mut clients: Vec<_> = (0..50).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        client.send("GET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
    stop.send(()).unwrap();
    for accept_loop in loops {
        accept_loop.join().unwrap();
    }
}

#[test]
fn only_pages_of_the_configured_origins_may_read() {
    let allowed = |server: &TestServer, origin: &str| {
        let mut client = server.connect();
        client.send(format!("GET /instruments/4 HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n"));
        let reply = client.response();
        let header = |name| reply.header(name).map(str::to_owned);
        (header("access-control-allow-origin"), header("vary"))
    };
    let any = TestServer::start(Limits::default());
    assert_eq!(allowed(&any, "https://any.example"), (Some("*".into()), None));
    let restricted = TestServer::with_origins(
        Limits::default(),
        "https://a.example http://b.example:8080".parse::<Origins>().unwrap(),
    );
    for origin in ["https://a.example", "http://b.example:8080"] {
        assert_eq!(allowed(&restricted, origin), (Some(origin.to_owned()), Some("origin".into())));
    }
    for origin in ["http://a.example", "https://a.example.evil", "null"] {
        assert_eq!(allowed(&restricted, origin), (None, Some("origin".into())));
    }
}
