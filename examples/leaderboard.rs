//! Counts ids exactly and prints the ten most frequent: popularity without candles.
//!
//!     cargo run --example leaderboard < ids.txt           (one id per line)
//!     seq 1 100000 | rev | cut -c1-3 | cargo run --example leaderboard

use std::io::{self, BufRead};

use candle_core::{Aggregator, ListError};

fn main() -> io::Result<()> {
    let aggregator = Aggregator::default();
    let mut skipped = 0_u64;
    for line in io::stdin().lock().lines() {
        let id = line?;
        // Only listed ids are counted. The limit `max_instruments` bounds the memory, whatever the input contains.
        if aggregator.count_view(&id).is_none() {
            match aggregator.list(&id, None) {
                Ok(_) => drop(aggregator.count_view(&id)),
                Err(ListError::BadId(_) | ListError::Full { .. } | _) => skipped += 1,
            }
        }
    }
    let mut top = Vec::new();
    aggregator.top(10, &mut top);
    for (rank, popular) in (1..).zip(&top) {
        println!("{rank:>2}. {:<24} {}", popular.id, popular.views);
    }
    println!("{} ids, {skipped} lines skipped", aggregator.len());
    Ok(())
}
