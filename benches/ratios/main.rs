//! The goals as ratios. The contenders of a ratio alternate within one run. The output is one table.
//!
//! `cargo bench --bench ratios [-- SECTION...]`; the sections are series, real, ingest, batches, large, threads, read and top.

mod batches;
mod ingest;
mod read;
mod series;
mod threads;

use candle_core::Tick;

/// The default number of ticks in a batch: one block of a file, or one read of a busy socket.
const BATCH: usize = 4096;

/// The number of rounds of a section. With one disturbed round in three, the median is still undisturbed.
const ROUNDS: usize = 31;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("ratios: this benchmark has no quick test; run it by cargo bench");
        return;
    }
    let selected: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    println!("| what | ratio | goal | |\n|---|---|---|---|");
    let sections: [(&str, fn()); 8] = [
        ("series", series::series),
        ("real", ingest::real),
        ("ingest", ingest::ingest),
        ("batches", batches::batches),
        ("large", ingest::large),
        ("threads", threads::threads),
        ("read", read::read),
        ("top", read::top),
    ];
    for (name, run) in sections {
        if selected.is_empty() || selected.iter().any(|wanted| *wanted == name) {
            run();
        }
    }
}

/// Prints a line of the table: `ratio` must be at most `goal`.
fn at_most(what: &str, ratio: f64, goal: f64) {
    println!("| {what} | {ratio:.2} | at most {goal} | {} |", if ratio <= goal { "met" } else { "**missed**" });
}

/// Prints a line of the table: `ratio` must be at least `goal`.
fn at_least(what: &str, ratio: f64, goal: f64) {
    println!("| {what} | {ratio:.2} | at least {goal} | {} |", if ratio >= goal { "met" } else { "**missed**" });
}

/// Prints a line without a goal.
fn note(text: &str) {
    println!("| {text} | | | |");
}

fn one_by_one(quotes: &[(&str, Tick)], mut record: impl FnMut(&str, &Tick)) {
    for (id, tick) in quotes {
        record(id, tick);
    }
}
