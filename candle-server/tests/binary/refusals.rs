//! Tests with invalid settings: the binary must print one line, exit with 2, and not start a server.

use std::net::TcpListener;

use crate::process::{Server, command, refusal, run};

#[test]
fn a_bad_flag_gets_one_line_that_names_it() {
    let directory = env!("CARGO_MANIFEST_DIR");
    let cases: [(&[&str], &str); 17] = [
        (&["--feed", "nonsense"], "--feed"),
        (&["--feed", ""], "--feed"),
        (&["--feed", "http://example.com"], "--feed"),
        (&["--feed", "demo:?instruments=0"], "instruments"),
        (&["--feed", "demo:", "--feed", "nonsense"], "--feed"),
        (&["--feed", "file:/no/such/file"], "/no/such/file"),
        (&["--feed", &format!("file:{directory}")], "directory"),
        (&["--feed", "file:"], "file:"),
        (&["--listen", "abc"], "--listen"),
        (&["--listen", "127.0.0.1"], "--listen"),
        (&["--listen", "127.0.0.1:99999"], "--listen"),
        (&["--listen", "192.0.2.1:0"], "192.0.2.1"),
        (&["--clock", "sun"], "--clock"),
        (&["--start", "never"], "--start"),
        (&["--max-instruments", "0"], "--max-instruments"),
        (&["--max-instruments", "-1"], "-1"),
        (&["--nonsense"], "--nonsense"),
    ];
    for (arguments, named) in cases {
        let has_address = arguments.contains(&"--listen");
        // Tests of other flags use port 0, because another process may use the default port 5001.
        let listen: &[&str] = if has_address { &[] } else { &["--listen", "127.0.0.1:0"] };
        let line = refusal(command(&[listen, arguments].concat()));
        assert!(line.starts_with("candle-server: ") && line.contains(named), "{arguments:?}: {line}");
    }
}

#[test]
fn a_bad_environment_gets_one_line_too() {
    let cases = [
        ("CANDLE_FEED", "nonsense"),
        ("CANDLE_FEED", "demo: nonsense"),
        ("CANDLE_FEED", "file:/no/such/file"),
        ("CANDLE_LISTEN", "abc"),
        ("CANDLE_CLOCK", "sun"),
        ("CANDLE_START", "never"),
        ("CANDLE_MAX_INSTRUMENTS", "many"),
        ("CANDLE_ALLOW_NON_POSITIVE", "perhaps"),
        ("CANDLE_LOG", "candle_server=loud"),
    ];
    for (name, value) in cases {
        let mut command = command(if name == "CANDLE_LISTEN" { &[] } else { &["--listen", "127.0.0.1:0"] });
        command.env(name, value);
        let line = refusal(command);
        assert!(line.starts_with("candle-server: "), "{name}={value}: {line}");
    }
}

#[test]
fn a_file_that_may_not_be_read_or_has_lines_in_its_name_gets_one_line() {
    let line = refusal(command(&["--listen", "127.0.0.1:0", "--feed", "file:/no/such\nfile"]));
    assert!(line.contains("/no/such"), "{line}");
    // Even root cannot open this path.
    let line = refusal(command(&["--listen", "127.0.0.1:0", "--feed", "file:/proc/self/mem/x"]));
    assert!(line.contains("/proc/self/mem/x"), "{line}");
}

#[test]
fn a_port_in_use_gets_one_line_and_starts_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = refusal(command(&["--listen", &address]));
    assert!(line.contains(&address), "{line}");
}

#[test]
fn two_servers_on_one_port_never_both_start() {
    let first = Server::start(&[]);
    let line = refusal(command(&["--listen", &first.address.to_string()]));
    assert!(line.contains(&first.address.to_string()), "{line}");
    assert_eq!(first.get("/livez").0, 200, "the first server still runs");
}

#[test]
fn help_contains_defaults_units_and_environment_variables() {
    let output = run(command(&["--help"]));
    assert!(output.status.success() && output.stderr.is_empty());
    let help = String::from_utf8(output.stdout).unwrap();
    let expected = [
        "[env: CANDLE_LISTEN=]",
        "[default: 127.0.0.1:5001]",
        "[env: CANDLE_FEED]",
        "[default: demo:]",
        "[env: CANDLE_CLOCK=]",
        "[env: CANDLE_START=]",
        "[env: CANDLE_ALLOW_NON_POSITIVE=]",
        "[env: CANDLE_MAX_INSTRUMENTS=]",
        "[default: 100000]",
        "2.9 KB",
        "CANDLE_LOG",
        "[default: info]",
    ];
    for text in expected {
        assert!(help.contains(text), "{text} is missing:\n{help}");
    }
    let version = run(command(&["--version"]));
    assert!(version.status.success());
    assert_eq!(String::from_utf8(version.stdout).unwrap().trim(), concat!("candle-server ", env!("CARGO_PKG_VERSION")));
}
