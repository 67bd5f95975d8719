//! Tests that user info and queries of feed addresses are sent only to the feed, and never printed or logged.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::process::{Server, command, refusal};

const SECRET: &str = "hunter2";

#[test]
fn a_refusal_repeats_no_secret() {
    let wrong: [&[&str]; 9] = [
        &["--feed", "https://user:hunter2@example.com/?token=hunter2"],
        &["--feed", "wss://user:hunter2@/?token=hunter2"],
        &["--feed", "wss://user:hunter2@example.com:port/?token=hunter2"],
        &["--feed", "partner+wss://user:hunter2@ex ample.com?token=hunter2"],
        &["--feed", "demo:?seed=hunter2"],
        &["wss://user:hunter2@example.com/?token=hunter2"],
        &["--listen", "wss://user:hunter2@example.com/"],
        &["--clock", "wss://user:hunter2@example.com/"],
        &["--max-instruments", "wss://user:hunter2@example.com/"],
    ];
    for arguments in wrong {
        let line = refusal(command(arguments));
        assert!(!line.contains(SECRET), "{arguments:?}: {line}");
    }
    let mut in_environment = command(&[]);
    in_environment.env("CANDLE_FEED", "demo: https://user:hunter2@example.com");
    let line = refusal(in_environment);
    assert!(!line.contains(SECRET), "{line}");
}

#[test]
fn neither_help_nor_a_failing_connection_repeats_a_secret() {
    for scheme in ["ws", "partner+ws", "wss"] {
        let feed = format!("{scheme}://user:hunter2@127.0.0.1:1/quotes?token=hunter2");
        let mut failing = command(&["--listen", "127.0.0.1:0"]);
        failing.env("CANDLE_FEED", &feed).env("CANDLE_LOG", "trace");
        let mut server = Server::start_command(failing);
        let mut log = server.stderr_until("feed disconnected");
        let (_, out, err) = server.end_by("TERM");
        log += &(out + &err);
        assert!(log.contains("127.0.0.1:1/quotes") && !log.contains(SECRET), "{log}");

        let mut help = command(&["--help"]);
        help.env("CANDLE_FEED", &feed);
        let output = crate::process::run(help);
        assert!(output.status.success() && !String::from_utf8(output.stdout).unwrap().contains(SECRET));
    }
}

#[cfg(feature = "nats")]
#[test]
fn the_server_log_contains_no_secret_of_an_unreachable_broker() {
    for user_info in ["user:hunter2", "hunter2"] {
        let url = format!("nats://{user_info}@127.0.0.1:1/X");
        let mut waiting = command(&["--listen", "127.0.0.1:0", "--feed", "demo:", "--publish", &url]);
        waiting.env("CANDLE_LOG", "trace");
        let mut server = Server::start_command(waiting);
        let mut log = server.stderr_until("connection attempt failed");
        let (_, out, err) = server.end_by("TERM");
        log += &(out + &err);
        assert!(log.contains("127.0.0.1") && !log.contains(SECRET), "{log}");
    }
}

#[test]
fn the_log_of_a_refused_handshake_contains_no_secret_although_the_request_does() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let feed = format!("ws://user:hunter2@{}/quotes?token=hunter2", upstream.local_addr().unwrap());
    let mut refused = command(&["--listen", "127.0.0.1:0", "--feed", &feed]);
    refused.env("CANDLE_LOG", "trace");
    let mut server = Server::start_command(refused);
    let (mut socket, _) = upstream.accept().unwrap();
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    socket.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(String::from_utf8(request).unwrap().starts_with("GET /quotes?token=hunter2 HTTP/1.1\r\n"));
    let mut log = server.stderr_until("403");
    let (_, out, err) = server.end_by("TERM");
    log += &(out + &err);
    assert!(!log.contains(SECRET), "{log}");
}
