//! Tests with files that the server can't use as a store.

use crate::process::{command, refusal, run};
use crate::{Directory, start};

#[test]
fn a_file_that_is_not_a_store_is_refused_in_one_line_and_not_changed() {
    let directory = Directory::new("foreign");
    let diary = directory.file("diary");
    std::fs::write(&diary, "Dear diary,\n").unwrap();
    for arguments in [&["--listen", "127.0.0.1:0", "--store", &diary][..], &["store", "check", &diary]] {
        let line = refusal(command(arguments));
        assert!(line.contains("diary is not a candle store") && line.contains("move the file away"), "{line}");
    }
    assert_eq!(std::fs::read_to_string(&diary).unwrap(), "Dear diary,\n");
}

#[test]
fn a_damaged_store_is_refused_in_one_line_and_not_changed() {
    let directory = Directory::new("damaged");
    let store = directory.file("store");
    assert_eq!(start(&store).end_by("TERM").0, Some(0));
    let mut bytes = std::fs::read(&store).unwrap();
    // Overwrites every page except the header.
    bytes[4096..].fill(0xAA);
    std::fs::write(&store, &bytes).unwrap();
    let line = refusal(command(&["--listen", "127.0.0.1:0", "--store", &store]));
    assert!(line.contains("store is damaged"), "{line}");
    assert!(std::fs::read(&store).unwrap() == bytes, "the file was changed");
}

#[test]
fn a_store_in_use_is_refused_and_its_server_continues() {
    let directory = Directory::new("locked");
    let store = directory.file("store");
    let server = start(&store);
    for arguments in [&["--listen", "127.0.0.1:0", "--store", &store][..], &["store", "export", &store]] {
        let line = refusal(command(arguments));
        assert!(line.contains("is used by another process"), "{line}");
    }
    let (status, body) = server.get("/readyz");
    assert!(status == 200 && body.contains(r#""store":"ok""#), "{body}");
    assert_eq!(server.end_by("TERM").0, Some(0));
    assert!(run(command(&["store", "check", &store])).status.success());
}

#[test]
fn a_path_in_a_missing_directory_is_refused() {
    let line = refusal(command(&["--listen", "127.0.0.1:0", "--store", "/nowhere/at/all"]));
    assert!(line.contains("can't use the store /nowhere/at/all"), "{line}");
}
