//! Tests of the binary with a store: kills, stops and restarts.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod command;
mod full;
mod kill;
#[allow(dead_code, reason = "the other tests of the binary use the rest")]
#[path = "../binary/process.rs"]
mod process;
mod refusals;
mod stop;

use std::path::PathBuf;
use std::process::Stdio;

use crate::process::{Server, command};

/// A temporary directory that is removed when this value is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("candle-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Returns the path of a file in the directory.
    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts a server that reads quotes from its standard input, on the feed's clock.
fn start(store: &str) -> Server {
    let mut command = command(&["--listen", "127.0.0.1:0", "--feed", "stdin:", "--store", store]);
    command.stdin(Stdio::piped());
    Server::start_command(command)
}

/// Returns the history of an instrument, or `None` if it is not listed.
fn instrument(server: &Server, id: &str) -> Option<serde_json::Value> {
    let (status, body) = server.get(&format!("/instruments/{id}?fill=none"));
    match status {
        200 => Some(serde_json::from_str(&body).unwrap()),
        404 => None,
        _ => panic!("{status}: {body}"),
    }
}
