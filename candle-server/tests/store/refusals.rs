//! Files that it can't use.

use crate::process::{command, refusal, run};
use crate::{Directory, start};

#[test]
fn a_file_that_is_no_store_is_named_in_one_line_and_left_alone() {
    let directory = Directory::new("foreign");
    let diary = directory.file("diary");
    std::fs::write(&diary, "Dear diary,\n").unwrap();
    for arguments in [&["--listen", "127.0.0.1:0", "--store", &diary][..], &["store", "check", &diary]] {
        let line = refusal(command(arguments));
        assert!(line.contains("diary is no candle store") && line.contains("move it away"), "{line}");
    }
    assert_eq!(std::fs::read_to_string(&diary).unwrap(), "Dear diary,\n");
}

#[test]
fn a_damaged_store_is_named_in_one_line_and_left_alone() {
    let directory = Directory::new("damaged");
    let store = directory.file("store");
    assert_eq!(start(&store).end_by("TERM").0, Some(0));
    let mut bytes = std::fs::read(&store).unwrap();
    // Every page but the head.
    bytes[4096..].fill(0xAA);
    std::fs::write(&store, &bytes).unwrap();
    let line = refusal(command(&["--listen", "127.0.0.1:0", "--store", &store]));
    assert!(line.contains("store is damaged"), "{line}");
    assert!(std::fs::read(&store).unwrap() == bytes, "the file was touched");
}

#[test]
fn a_store_in_use_is_refused_and_its_user_goes_on() {
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
fn a_place_without_a_directory_is_refused() {
    let line = refusal(command(&["--listen", "127.0.0.1:0", "--store", "/nowhere/at/all"]));
    assert!(line.contains("can't use the store /nowhere/at/all"), "{line}");
}
