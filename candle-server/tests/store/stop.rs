//! Tests of clean stops and restarts.

use std::io::Write;
use std::process::Stdio;
use std::time::Instant;

use crate::process::{GUARD, Server, command, run};
use crate::{Directory, instrument, start};

/// Waits until the server has recorded at least `quotes` quotes of an instrument.
pub(crate) fn wait_for(server: &Server, id: &str, quotes: u64) {
    let begun = Instant::now();
    let count = || -> u64 {
        let Some(instrument) = instrument(server, id) else { return 0 };
        instrument["candles"].as_array().unwrap().iter().map(|candle| candle["quotes"].as_u64().unwrap()).sum()
    };
    while count() < quotes {
        assert!(begun.elapsed() < GUARD, "the quotes never arrive");
    }
}

#[test]
fn a_clean_stop_loses_no_write() {
    let directory = Directory::new("stop");
    let store = directory.file("store");
    let mut server = start(&store);
    let mut stdin = server.stdin();
    writeln!(stdin, r#"{{"type":"ADD","data":{{"isin":"a","description":"first of all"}}}}"#).unwrap();
    for number in 0..100 {
        writeln!(stdin, r#"{{"id":"a","price":{},"timestamp":{}}}"#, number % 7 + 1, 1_700_000_000 + number * 5)
            .unwrap();
    }
    stdin.flush().unwrap();
    wait_for(&server, "a", 100);
    let (status, body) = server.get("/readyz");
    assert!(status == 200 && body.contains(r#""store":"ok""#), "{body}");
    let before = instrument(&server, "a").unwrap();
    assert_eq!(server.end_by("TERM").0, Some(0));

    let check = run(command(&["store", "check", &store]));
    let stdout = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success() && stdout.contains("sound: 1 instruments, 9 candles"), "{stdout}");
    let export = run(command(&["store", "export", &store]));
    let lines = String::from_utf8(export.stdout).unwrap();
    assert_eq!(lines.lines().count(), 9);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((first["id"].as_str(), first["openTimestamp"].as_i64()), (Some("a"), Some(1_699_999_980)));

    let server = start(&store);
    let mut after = instrument(&server, "a").unwrap();
    assert_eq!(after["views"].as_u64(), before["views"].as_u64().map(|views| views + 1));
    after["views"] = before["views"].clone();
    // The restored quotes are stale until a new quote arrives.
    assert_eq!((before["status"].as_str(), after["status"].as_str()), (Some("live"), Some("stale")));
    after["status"] = before["status"].clone();
    assert_eq!(after, before);
}

#[test]
fn deleted_instruments_stay_deleted_and_sequence_numbers_continue() {
    let directory = Directory::new("numbers");
    let store = directory.file("store");
    let mut server = start(&store);
    let mut stdin = server.stdin();
    // The times are equal, so only the sequence numbers determine the close.
    for price in [1, 9, 2] {
        writeln!(stdin, r#"{{"id":"a","price":{price},"timestamp":1700000000}}"#).unwrap();
    }
    writeln!(stdin, r#"{{"id":"b","price":1,"timestamp":1700000000}}"#).unwrap();
    writeln!(stdin, r#"{{"type":"DELETE","data":{{"isin":"b"}}}}"#).unwrap();
    writeln!(stdin, r#"{{"id":"c","price":1,"timestamp":1700000000}}"#).unwrap();
    wait_for(&server, "c", 1);
    assert_eq!(server.end_by("TERM").0, Some(0));
    let mut server = start(&store);
    assert_eq!(instrument(&server, "b"), None);
    writeln!(server.stdin(), r#"{{"id":"a","price":5,"timestamp":1700000000}}"#).unwrap();
    wait_for(&server, "a", 4);
    let a = instrument(&server, "a").unwrap();
    let candle = &a["candles"][0];
    let ends = ["openPrice", "highPrice", "closePrice"].map(|name| candle[name].as_f64().unwrap());
    assert_eq!(ends, [1.0, 9.0, 5.0], "the quote after the restart is ordered before earlier quotes");
}

#[test]
fn a_feed_that_restarts_at_an_earlier_time_clears_the_candles() {
    let directory = Directory::new("earlier");
    let store = directory.file("store");
    let mut server = start(&store);
    writeln!(server.stdin(), r#"{{"id":"a","price":5,"timestamp":1700000000}}"#).unwrap();
    wait_for(&server, "a", 1);
    assert_eq!(server.end_by("TERM").0, Some(0));
    for _ in 0..2 {
        let mut command = command(&["--listen", "127.0.0.1:0", "--feed", "stdin:", "--store", &store]);
        command.stdin(Stdio::piped());
        let mut server = Server::start_command(command);
        writeln!(server.stdin(), r#"{{"id":"a","price":7,"timestamp":1600000000}}"#).unwrap();
        let begun = Instant::now();
        while instrument(&server, "a").unwrap()["candles"][0]["openPrice"] != 7 {
            assert!(begun.elapsed() < GUARD, "the quote never arrives");
        }
        assert_eq!(instrument(&server, "a").unwrap()["candles"].as_array().unwrap().len(), 1);
        assert_eq!(server.end_by("KILL").0, None);
    }
}

/// Returns the coverage of each minute in a response. Coverage is the part of the minute for which the feed was up.
///
/// Minutes are numbered from the first minute of the test.
fn coverage(server: &Server, id: &str) -> Vec<(u64, String)> {
    let (status, body) = server.get(&format!("/instruments/{id}"));
    assert_eq!(status, 200, "{body}");
    let history: serde_json::Value = serde_json::from_str(&body).unwrap();
    let candles = history["candles"].as_array().unwrap().iter();
    let minute = |candle: &serde_json::Value| candle["openTimestamp"].as_u64().unwrap() / 60;
    let first = 1_699_999_980 / 60;
    candles.map(|candle| (minute(candle) - first, candle["coverage"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn minutes_without_a_server_have_no_coverage_and_the_other_minutes_keep_theirs() {
    let directory = Directory::new("coverage");
    let store = directory.file("store");
    let mut server = start(&store);
    // One quote is sent for the middle of each of the minutes 0 to 3. The feed is up for only a part of the first
    // minute.
    let mut stdin = server.stdin();
    for minute in 0..4 {
        writeln!(stdin, r#"{{"id":"a","price":5,"timestamp":{}}}"#, 1_700_000_010 + minute * 60).unwrap();
    }
    wait_for(&server, "a", 4);
    assert_eq!(server.end_by("TERM").0, Some(0));
    let mut server = start(&store);
    let mut stdin = server.stdin();
    for minute in 7..10 {
        writeln!(stdin, r#"{{"id":"a","price":6,"timestamp":{}}}"#, 1_700_000_010 + minute * 60).unwrap();
    }
    wait_for(&server, "a", 7);
    let wanted =
        ["partial", "complete", "complete", "partial", "none", "none", "none", "partial", "complete", "complete"];
    let wanted: Vec<_> = (0..).zip(wanted.map(str::to_owned)).collect();
    assert_eq!(coverage(&server, "a"), wanted);
}
