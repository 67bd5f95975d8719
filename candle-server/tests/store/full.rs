//! Tests the server on a full file system. The test fills a small file system, which `.ci/run` creates.

use std::io::Write;
use std::time::Instant;

use crate::process::GUARD;
use crate::{instrument, start};

#[test]
#[ignore = "needs a small file system, in CANDLE_SMALL_DISK"]
fn the_server_continues_on_a_full_disk_and_stores_everything_once_there_is_space() {
    let disk = std::env::var("CANDLE_SMALL_DISK").expect("CANDLE_SMALL_DISK is the mount point of a small file system");
    let (store, ballast) = (format!("{disk}/store"), format!("{disk}/ballast"));
    let mut server = start(&store);
    let mut stdin = server.stdin();
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);
    let begun = Instant::now();
    let mut second: u64 = 1_700_000_000;
    while !server.get("/readyz").1.contains(r#""store":"failed""#) {
        assert!(begun.elapsed() < GUARD, "the store never fails");
        let price = second % 100 + 1;
        // The file must grow to store this many instruments.
        let line = |id| format!("{{\"id\":{id},\"price\":{price},\"timestamp\":{second}}}\n");
        let lines: Vec<String> = (0..2000).map(line).collect();
        stdin.write_all(lines.concat().as_bytes()).unwrap();
        second += 1;
    }
    assert_eq!(server.get("/instruments/7").0, 200);
    let stderr = server.stderr_until("the server continues");
    assert!(stderr.contains("can't be written: No space left on device"), "{stderr}");
    std::fs::remove_file(&ballast).unwrap();
    while !server.get("/readyz").1.contains(r#""store":"ok""#) {
        assert!(begun.elapsed() < GUARD, "the store never recovers");
    }
    server.stderr_until("is written again");
    let last = second - 1;
    let has_last = |server: &_| {
        let seven = instrument(server, "7").unwrap();
        (seven["lastQuoteTimestamp"].as_u64() == Some(last)).then_some(seven["candles"].clone())
    };
    let before = loop {
        assert!(begun.elapsed() < GUARD, "the last quote never arrives");
        if let Some(candles) = has_last(&server) {
            break candles;
        }
    };
    assert_eq!(server.end_by("TERM").0, Some(0));
    let mut server = start(&store);
    assert_eq!(has_last(&server), Some(before));
    // The server reports a failure of its last write when it stops.
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    let mut stdin = server.stdin();
    while !server.get("/readyz").1.contains(r#""store":"failed""#) {
        assert!(begun.elapsed() < GUARD, "the store never fails again");
        let line = |id| format!("{{\"id\":{id},\"price\":1,\"timestamp\":{second}}}\n");
        stdin.write_all((0..2000).map(line).collect::<String>().as_bytes()).unwrap();
        second += 1;
    }
    let (code, _, stderr) = server.end_by("TERM");
    assert!(code == Some(1) && stderr.contains("does not contain the last writes"), "{code:?}: {stderr}");
}
