//! The binary with a store: killed, stopped, started again.
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

/// A directory of its own for a test, gone at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("candle-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The path of a file in it.
    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that reads its standard input, on the feed's own clock.
fn start(store: &str) -> Server {
    let mut command = command(&["--listen", "127.0.0.1:0", "--feed", "stdin:", "--store", store]);
    command.stdin(Stdio::piped());
    Server::start_command(command)
}

/// What the server has of one instrument.
fn instrument(server: &Server, id: &str) -> Option<serde_json::Value> {
    let (status, body) = server.get(&format!("/instruments/{id}?fill=none"));
    match status {
        200 => Some(serde_json::from_str(&body).unwrap()),
        404 => None,
        _ => panic!("{status}: {body}"),
    }
}
