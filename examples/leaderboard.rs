//! Counts the ids on standard input exactly, and prints the ten most frequent: popularity without candles.
//!
//!     cargo run --example leaderboard < ids.txt           (one id per line)
//!     seq 1 100000 | rev | cut -c1-3 | cargo run --example leaderboard

use std::io::{self, BufRead};

use candle_core::Popularity;

fn main() -> io::Result<()> {
    // The limit of 100,000 ids bounds the memory, whatever the input contains.
    let mut popularity = Popularity::new(100_000);
    let mut skipped = 0_u64;
    for line in io::stdin().lock().lines() {
        if popularity.count(&line?).is_err() {
            // The id is not valid, or the limit is reached.
            skipped += 1;
        }
    }
    for (rank, popular) in (1..).zip(popularity.top(10)) {
        println!("{rank:>2}. {:<24} {}", popular.id, popular.views);
    }
    println!("{} ids, {skipped} lines skipped", popularity.len());
    Ok(())
}
