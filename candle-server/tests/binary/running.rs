//! Tests of a running server process, from its first line to its exit.

use std::io::Write;
use std::process::Stdio;
use std::time::Instant;

use crate::process::{GUARD, Server, command, run};

#[test]
fn the_server_prints_one_line_with_its_address_and_exits_with_0_on_either_signal() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&[]);
        assert_eq!(server.start_line, format!("candle-server listens on http://{}\n", server.address));
        assert_ne!(server.address.port(), 0);
        assert_eq!(server.get("/"), (200, "\"Aggregator thread is started...\"".to_owned()));
        let (code, out, _) = server.end_by(signal);
        assert_eq!((code, out.as_str()), (Some(0), ""), "{signal}");
    }
}

#[test]
fn the_server_stops_although_standard_input_stays_open() {
    let mut command = command(&["--listen", "127.0.0.1:0", "--feed", "stdin:", "--clock", "wall"]);
    command.stdin(Stdio::piped());
    let mut server = Server::start_command(command);
    let mut stdin = server.stdin();
    writeln!(stdin, r#"{{"id":4,"price":12.5}}"#).unwrap();
    stdin.flush().unwrap();
    let begun = Instant::now();
    while server.get("/instruments/4").0 != 200 {
        assert!(begun.elapsed() < GUARD, "the line was not read");
    }
    assert_eq!(server.end_by("TERM").0, Some(0));
    drop(stdin);
}

#[test]
fn the_server_keeps_serving_at_the_end_of_its_input() {
    let mut server = Server::start(&["--feed", "stdin:"]);
    server.stderr_until("the server keeps serving");
    assert_eq!(server.get("/instruments"), (200, r#"{"instruments":[],"next":null}"#.to_owned()));
    assert_eq!(server.end_by("TERM").0, Some(0));
}

#[test]
fn feeds_in_the_environment_are_separated_by_white_space() {
    let mut with_feeds = command(&["--listen", "127.0.0.1:0"]);
    with_feeds.env("CANDLE_FEED", "  ws://127.0.0.1:1/first\n\tstdin: ");
    let mut server = Server::start_command(with_feeds);
    let log = server.stderr_until("the server keeps serving");
    assert!(log.contains("ws://127.0.0.1:1/first"), "{log}");
    assert_eq!(server.end_by("TERM").0, Some(0));
}

#[test]
fn flags_override_settings_in_the_environment() {
    let mut with_settings = command(&["--listen", "127.0.0.1:0", "--feed", "stdin:"]);
    with_settings.env("CANDLE_LISTEN", "127.0.0.1:1").env("CANDLE_FEED", "nonsense").env("CANDLE_CLOCK", "wall");
    with_settings.env("CANDLE_ALLOW_NON_POSITIVE", "1").env("CANDLE_LOG", "").stdin(Stdio::piped());
    let mut server = Server::start_command(with_settings);
    writeln!(server.stdin(), r#"{{"id":4,"price":-37.63}}"#).unwrap();
    server.stderr_until("the server keeps serving");
    let (status, body) = server.get("/instruments/4");
    assert!(status == 200 && body.contains("-37.63"), "{body}");
}

#[test]
fn the_health_command_checks_another_server() {
    let server = Server::start(&["--feed", "stdin:"]);
    let check = |url: String| run(command(&["health", &url]));
    assert!(check(format!("http://{}", server.address)).status.success());
    assert!(check(format!("http://{}/livez", server.address)).status.success());
    let failed = check(format!("http://{}/nowhere", server.address));
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(String::from_utf8(failed.stderr).unwrap(), "candle-server: the server answered 404\n");
    assert_eq!(server.end_by("TERM").0, Some(0));
    assert_eq!(check("http://127.0.0.1:1".to_owned()).status.code(), Some(1));
    assert_eq!(check("ftp://127.0.0.1".to_owned()).status.code(), Some(2));
}
