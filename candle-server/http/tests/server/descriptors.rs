//! Tests the server when file descriptors run out.

use std::fs::File;
use std::process::Command;

use candle_http::server::Limits;

use crate::client::eventually;
use crate::test_server::TestServer;

/// The environment variable that the test sets for its child process.
const CHILD: &str = "CANDLE_TEST_FEW_DESCRIPTORS";

#[cfg(unix)]
#[test]
fn accepting_pauses_without_descriptors_and_resumes_with_them() {
    if std::env::var_os(CHILD).is_some() {
        return run_out();
    }
    // The test runs in a child process: the limit applies to the whole process, and other tests need descriptors.
    let this = std::env::current_exe().unwrap();
    let test = "descriptors::accepting_pauses_without_descriptors_and_resumes_with_them";
    let script = r#"ulimit -n 64 && exec "$0" --exact "$1""#;
    let child = Command::new("sh").args(["-c", script]).arg(this).arg(test).env(CHILD, "1").output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));
}

fn run_out() {
    let server = TestServer::start(Limits::default());
    server.is_fine();
    eventually("the permit is free", || server.inner.connections() == 0);
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // One descriptor is free for the client socket, and none for the server socket.
    files.pop();
    let mut client = server.connect();
    client.send("GET /instruments/4 HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("accepting fails", || server.inner.metrics().accept_failures.get() > 1);
    assert!(server.fake.handled().len() == 1);
    drop(files);
    assert_eq!(client.response().text(), "\"4\"");
    server.is_fine();
}
