//! `store check` and `store export`, where something beside the store is not as it should be.

use std::fs::OpenOptions;
use std::io::Write;

use crate::process::{command, refusal, run};
use crate::stop::wait_for;
use crate::{Directory, start};

/// A store with a candle in it.
fn a_store(directory: &Directory) -> String {
    let store = directory.file("store");
    let mut server = start(&store);
    writeln!(server.stdin(), r#"{{"id":"a","price":5,"timestamp":1700000000}}"#).unwrap();
    wait_for(&server, "a", 1);
    assert_eq!(server.end_by("TERM").0, Some(0));
    store
}

#[test]
fn a_reader_that_has_seen_enough_is_a_normal_end() {
    let directory = Directory::new("enough");
    let store = a_store(&directory);
    for what in ["check", "export"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = command(&["store", what, &store]).stdout(writer).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), said.as_str()), (Some(0), ""), "{what}");
    }
}

#[test]
fn candles_that_find_no_room_are_a_failure_and_not_the_stores() {
    let directory = Directory::new("no-room");
    let store = a_store(&directory);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = command(&["store", "export", &store]).stdout(full).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("can't write what is in the store") && said.lines().count() == 1, "{said}");
}

#[test]
fn looking_into_a_store_needs_no_feed() {
    let directory = Directory::new("no-feed");
    let store = a_store(&directory);
    let mut check = command(&["store", "check", &store]);
    check.env("CANDLE_FEED", "file:/no/such/file");
    let check = run(check);
    assert!(check.status.success(), "{check:?}");
}

#[test]
fn whoever_does_not_say_what_to_do_with_a_store_hears_what_there_is() {
    let line = refusal(command(&["store"]));
    assert!(line.contains("check") && line.contains("export"), "{line}");
}
