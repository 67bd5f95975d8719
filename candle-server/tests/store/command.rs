//! Tests of `store check` and `store export` with a faulty output or environment.

use std::fs::OpenOptions;
use std::io::Write;

use crate::process::{command, refusal, run};
use crate::stop::wait_for;
use crate::{Directory, start};

/// Creates a store with one candle, and returns its path.
fn store_with_a_candle(directory: &Directory) -> String {
    let store = directory.file("store");
    let mut server = start(&store);
    writeln!(server.stdin(), r#"{{"id":"a","price":5,"timestamp":1700000000}}"#).unwrap();
    wait_for(&server, "a", 1);
    assert_eq!(server.end_by("TERM").0, Some(0));
    store
}

#[test]
fn a_reader_that_closes_the_output_early_is_not_an_error() {
    let directory = Directory::new("closed-output");
    let store = store_with_a_candle(&directory);
    for action in ["check", "export"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = command(&["store", action, &store]).stdout(writer).output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), stderr.as_str()), (Some(0), ""), "{action}");
    }
}

#[test]
fn a_full_output_is_reported_as_an_error_of_the_output() {
    let directory = Directory::new("full-output");
    let store = store_with_a_candle(&directory);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = command(&["store", "export", &store]).stdout(full).output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("can't write the content of the store"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn a_check_does_not_open_the_feed() {
    let directory = Directory::new("no-feed");
    let store = store_with_a_candle(&directory);
    let mut check = command(&["store", "check", &store]);
    check.env("CANDLE_FEED", "file:/no/such/file");
    let check = run(check);
    assert!(check.status.success(), "{check:?}");
}

#[test]
fn the_command_store_without_an_action_lists_the_actions() {
    let line = refusal(command(&["store"]));
    assert!(line.contains("check") && line.contains("export"), "{line}");
}
