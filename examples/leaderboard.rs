//! Prints the ten most frequent ids on stdin, one id a line: an exact top-k without candles.
//!
//!     cargo run --example leaderboard < access.log        (one id a line)
//!     seq 1 100000 | rev | cut -c1-3 | cargo run --example leaderboard

use std::io::{self, BufRead};

use candle_core::Popularity;

fn main() -> io::Result<()> {
    // At most 100,000 ids, so that strangers cannot fill the memory.
    let mut popularity = Popularity::new(100_000);
    let mut skipped = 0_u64;
    for line in io::stdin().lock().lines() {
        if popularity.count(&line?).is_err() {
            skipped += 1; // no valid id, or over the limit
        }
    }
    let mut top = Vec::new();
    popularity.top(10, &mut top);
    for (rank, popular) in (1..).zip(&top) {
        println!("{rank:>2}. {:<24} {}", popular.id, popular.views);
    }
    println!("{} ids, {skipped} lines skipped", popularity.len());
    Ok(())
}
