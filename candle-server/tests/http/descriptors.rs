//! Running out of file descriptors.

use std::fs::File;
use std::process::Command;

use candle_server::http::Limits;

use crate::site::{Site, eventually};

/// Tells the child from the parent below.
const CHILD: &str = "CANDLE_TEST_FEW_DESCRIPTORS";

#[cfg(unix)]
#[test]
fn accepting_pauses_without_descriptors_and_goes_on_with_them() {
    if std::env::var_os(CHILD).is_some() {
        return starve();
    }
    // In a process of its own: descriptors are the process's, and other tests need theirs.
    let this = std::env::current_exe().unwrap();
    let test = "descriptors::accepting_pauses_without_descriptors_and_goes_on_with_them";
    let script = r#"ulimit -n 64 && exec "$0" --exact "$1""#;
    let child = Command::new("sh").args(["-c", script]).arg(this).arg(test).env(CHILD, "1").output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));
}

fn starve() {
    let site = Site::start(Limits::default());
    site.is_fine();
    eventually("the seat is free", || site.server.connections() == 0);
    let mut hogs: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // One descriptor for the client; none is left for the server's end.
    hogs.pop();
    let mut client = site.connect();
    client.send("GET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("accepting fails", || site.server.counts().accept_failures.get() > 1);
    assert!(site.fake.answered().len() == 1);
    drop(hogs);
    assert_eq!(client.response().text(), "\"4\"");
    site.is_fine();
}
