//! The goals as ratios, each pair measured in turn within one run, printed as one table.
//!
//! `cargo bench --bench ratios [-- SECTION...]` with any of: ingest large threads series read top batches

mod ingest;
mod read;
mod series;
mod threads;

use candle_core::Tick;

/// Ticks in a batch where nothing else is said: a block of a file, or what a busy socket has ready.
const BATCH: usize = 4096;

/// Rounds of each section: enough that one disturbed round in three leaves the median alone.
const ROUNDS: usize = 31;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("ratios are measured by cargo bench; here they are only built");
        return;
    }
    let asked: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    println!("| what | ratio | goal | |\n|---|---|---|---|");
    let sections: [(&str, fn()); 7] = [
        ("ingest", ingest::ingest),
        ("batches", ingest::batches),
        ("large", ingest::large),
        ("threads", threads::threads),
        ("series", series::series),
        ("read", read::read),
        ("top", read::top),
    ];
    for (name, run) in sections {
        if asked.is_empty() || asked.iter().any(|wanted| *wanted == name) {
            run();
        }
    }
}

/// One line of the table: `ratio` must be at most `goal`.
fn at_most(what: &str, ratio: f64, goal: f64) {
    println!("| {what} | {ratio:.2} | at most {goal} | {} |", if ratio <= goal { "met" } else { "**missed**" });
}

/// One line of the table: `ratio` must be at least `goal`.
fn at_least(what: &str, ratio: f64, goal: f64) {
    println!("| {what} | {ratio:.2} | at least {goal} | {} |", if ratio >= goal { "met" } else { "**missed**" });
}

/// A line that belongs to no goal.
fn note(text: &str) {
    println!("| {text} | | | |");
}

fn one_by_one(quotes: &[(&str, Tick)], mut record: impl FnMut(&str, &Tick)) {
    for (id, tick) in quotes {
        record(id, tick);
    }
}
