use super::*;

fn feed(text: &str) -> FeedUrl {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> FeedUrlError {
    text.parse::<FeedUrl>().expect_err(text)
}

#[test]
fn every_demo_option_has_a_default() {
    assert_eq!(feed("demo:"), FeedUrl::Demo(DemoOptions::default()));
    assert_eq!(feed("demo:?"), FeedUrl::Demo(DemoOptions::default()));
    assert_eq!(feed("demo:?instruments=10&rate=5000/min&speed=50&seed=1"), feed("demo:"));
    let load = DemoOptions { instruments: 50_000, rate: 100_000.0, speed: 1.0, seed: 1 };
    assert_eq!(feed("demo:?instruments=50000&rate=100000/s&speed=1"), FeedUrl::Demo(load));
}

#[test]
fn option_values_outside_their_bounds_are_rejected() {
    for ok in ["instruments=1", "instruments=1000000", "rate=1e7/s", "rate=0.5/min", "speed=1e6", "seed=0"] {
        let _ = feed(&format!("demo:?{ok}"));
    }
    for bad in [
        "instruments=0",
        "instruments=1000001",
        "instruments=-1",
        "instruments=",
        "rate=0/s",
        "rate=10000001/s",
        "rate=5",
        "rate=5/h",
        "rate=nan/s",
        "rate=inf/s",
        "rate=-1/s",
        "speed=0",
        "speed=1000001",
        "speed=NaN",
        "seed=-1",
        "seed=x",
    ] {
        assert!(matches!(error(&format!("demo:?{bad}")), FeedUrlError::Value(..)), "{bad}");
    }
    assert_eq!(error("demo:?colour=red"), FeedUrlError::Option("colour".to_owned()));
    assert_eq!(error("demo:?seed=1&seed=1"), FeedUrlError::Repeated("seed"));
}

#[test]
fn a_socket_url_has_a_host_and_a_port() {
    let FeedUrl::WebSocket(url) = feed("ws://example.com:8033/quotes?x=1") else { panic!("no socket") };
    assert_eq!((url.host(), url.port(), url.uri().query()), ("example.com", 8033, Some("x=1")));
    let FeedUrl::WebSocket(url) = feed("wss://[::1]") else { panic!("no socket") };
    assert_eq!((url.host(), url.port()), ("::1", 443));
}

#[test]
fn a_partner_url_gives_two_socket_urls() {
    let FeedUrl::Partner { instruments, quotes } = feed("partner+wss://example.com:8032/v1/?key=k") else {
        panic!("no partner")
    };
    assert_eq!(instruments.uri(), "wss://example.com:8032/v1/instruments?key=k");
    assert_eq!(quotes.uri(), "wss://example.com:8032/v1/quotes?key=k");
    assert_eq!(feed("partner+ws://localhost:8032").to_string(), "partner+ws://localhost:8032");
}

#[test]
fn a_file_is_replayed_at_full_speed_unless_a_speed_is_given() {
    let path = PathBuf::from("../data/ticks.ndjson");
    assert_eq!(feed("file:../data/ticks.ndjson"), FeedUrl::File { path: path.clone(), pace: Pace::Full });
    assert_eq!(feed("file:../data/ticks.ndjson?speed=2.5"), FeedUrl::File { path, pace: Pace::Times(2.5) });
    assert_eq!(error("file:?speed=1"), FeedUrlError::NoPath);
    assert_eq!(feed("stdin:"), FeedUrl::Stdin);
}

#[test]
fn neither_display_nor_debug_output_contains_secrets() {
    for text in [
        "ws://user:secret@example.com:81/path?token=secret",
        "wss://secret@example.com/?secret",
        "partner+ws://user:secret@example.com/base?token=secret",
    ] {
        let feed = feed(text);
        assert!(!format!("{feed} {feed:?}").contains("secret"), "{feed} {feed:?}");
    }
    assert!(!error("ws://user:secret@example.com:port").to_string().contains("secret"));
}

#[test]
fn an_invalid_url_gets_a_one_line_error() {
    for text in ["nonsense", "", ":", "http://example.com", "partner+http://x", "stdin", "demo"] {
        assert_eq!(error(text), FeedUrlError::Scheme, "{text}");
    }
    for text in ["ws:", "ws://", "ws:///path", "ws://:80", "ws://h:99999", "ws://h:port", "ws://h:0", "ws://h:"] {
        assert_eq!(error(text), FeedUrlError::Address, "{text}");
    }
    assert_eq!(error("stdin:x"), FeedUrlError::Path("stdin:"));
    assert_eq!(error("demo:x"), FeedUrlError::Path("demo:"));
    for text in ["nonsense", "ws:", "stdin:x", "file:", "demo:?x", "demo:?seed=", "demo:?seed=1&seed=2"] {
        assert!(!error(text).to_string().contains('\n'), "{text}");
    }
}
