//! The candle side of `benches/peers/run`, with the rivals that are Rust.
//!
//! `peers prepare DIR` writes the input files. `peers work DIR INPUT` reads commands from standard input, one a line, and
//! answers each with one line:
//!
//! | command | answer |
//! |---|---|
//! | `time WAY` | the seconds that one pass takes |
//! | `check WAY PATH` | `ok`, after the candles of one pass are written to PATH |

mod candles;
mod offline;
mod prepare;
mod streaming;

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use benches::common::Feed;

use crate::candles::{Row, write_candles};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["prepare", dir] => prepare::prepare(Path::new(dir)),
        ["work", dir, input] => work(&Input::read(Path::new(dir), input)),
        _ => {
            eprintln!("usage: peers prepare DIR | peers work DIR INPUT (run benches/peers/run)");
            std::process::exit(2);
        }
    }
}

/// The trades of one input, in memory and as files.
struct Input {
    feed: Feed,
    csv: PathBuf,
    ndjson: PathBuf,
}

impl Input {
    fn read(dir: &Path, name: &str) -> Self {
        let [csv, ndjson] = ["csv", "ndjson"].map(|form| dir.join(format!("{name}.{form}")));
        Self { feed: Feed::real(prepare::read_csv(&csv)), csv, ndjson }
    }
}

fn work(input: &Input) {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("commands are text");
        let answer = match line.split(' ').collect::<Vec<_>>()[..] {
            ["time", way] => time(input, way).map(|time| time.as_secs_f64().to_string()),
            ["check", way, path] => check(input, way).map(|rows| {
                write_candles(Path::new(path), rows);
                "ok".to_owned()
            }),
            _ => None,
        };
        let answer = answer.unwrap_or_else(|| format!("unknown command `{line}`"));
        writeln!(out, "{answer}").expect("standard output is open");
    }
}

fn time(input: &Input, way: &str) -> Option<Duration> {
    if let Some((time, _)) = offline::run(input, way) {
        return Some(time);
    }
    streaming::time(&input.feed, way)
}

fn check(input: &Input, way: &str) -> Option<Vec<Row>> {
    if let Some((_, rows)) = offline::run(input, way) {
        return Some(rows);
    }
    streaming::check(&input.feed, way)
}
