//! Ticks generated from a seed, with ids as in the buffer of a socket.

use std::time::{Duration, Instant};

use candle_core::{Tick, Timestamp};

use super::prng::Prng;

/// The number of ticks in one pass over a feed. With 50 k instruments, a quarter of their cache lines is used more than
/// twice. The ticks (7 MB) fit the last-level cache together with the candles.
pub const PASS: usize = 1 << 17;

/// A distribution of the ticks over the instruments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// All instruments have the same frequency.
    Uniform,
    /// The frequency of the n-th most frequent instrument is proportional to 1/n.
    Zipf,
}

/// A pass of ticks, sorted by time. The ids lie one after another in memory, as in the buffer of a socket.
#[derive(Debug)]
pub struct Feed {
    /// The id of each instrument: 12 characters, the length of an ISIN.
    pub ids: Vec<String>,
    /// The instrument of each tick, as an index into `ids`.
    pub instruments: Vec<u32>,
    /// The ticks with their ids.
    pub quotes: Vec<(&'static str, Tick)>,
    passes: u64,
}

impl Feed {
    /// Creates a feed of [`PASS`] ticks at its first pass.
    ///
    /// # Panics
    /// Panics if `instruments` is 0 or at least 2^32.
    pub fn new(instruments: usize, skew: Skew, seed: u64) -> Self {
        Self::of(PASS, instruments, skew, seed)
    }

    /// Creates a feed of `ticks` ticks at its first pass.
    ///
    /// # Panics
    /// Panics if `instruments` is 0 or at least 2^32.
    pub fn of(ticks: usize, instruments: usize, skew: Skew, seed: u64) -> Self {
        let ids: Vec<String> = (0..instruments).map(id).collect();
        let mut prng = Prng::new(seed);
        let chosen: Vec<u32> = match skew {
            Skew::Uniform => (0..ticks).map(|_| index(prng.below(instruments as u64))).collect(),
            Skew::Zipf => zipf(ticks, instruments, &mut prng),
        };
        let mut text = String::with_capacity(ticks * 12);
        text.extend(chosen.iter().map(|instrument| ids[*instrument as usize].as_str()));
        // The input of a benchmark is needed until its process ends.
        let text: &'static str = text.leak();
        let start = Timestamp::EPOCH;
        let quotes = (0..ticks)
            .map(|n| (&text[n * 12..(n + 1) * 12], Tick::new(start, 100.0 + prng.unit()).with_size(prng.unit())))
            .collect();
        let mut feed = Self { ids, instruments: chosen, quotes, passes: 0 };
        feed.advance();
        feed
    }

    /// Moves all ticks to the next pass: later in time, in the same order. An instrument has 120 ticks per minute on average.
    pub fn advance(&mut self) {
        let first = self.passes * self.quotes.len() as u64;
        self.passes += 1;
        let instruments = self.ids.len() as u64;
        for (n, (_, tick)) in (first..).zip(&mut self.quotes) {
            tick.time = Timestamp::EPOCH.saturating_add((n * 500_000 / instruments).cast_signed());
            tick.seq = n;
        }
    }

    /// Returns the time that `pass` takes for `passes` passes. Each pass is later in time than the one before.
    pub fn time(&mut self, passes: u64, mut pass: impl FnMut(&Self)) -> Duration {
        let timed = |_| {
            self.advance();
            let start = Instant::now();
            pass(self);
            start.elapsed()
        };
        (0..passes).map(timed).sum()
    }

    /// Returns the time of the last tick, which is `now` for all of these ticks.
    pub fn now(quotes: &[(&str, Tick)]) -> Timestamp {
        quotes.last().map_or(Timestamp::EPOCH, |(_, tick)| tick.time)
    }
}

fn index(number: u64) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 instruments")
}

/// Returns the n-th id: distinct for distinct `n`, and similar to an ISIN.
fn id(n: usize) -> String {
    let mixed = Prng::new(n as u64).next_u64() >> 40;
    format!("{:02X}{mixed:06X}{:04X}", n >> 16, n & 0xFFFF)
}

fn zipf(ticks: usize, instruments: usize, prng: &mut Prng) -> Vec<u32> {
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (1..=instruments)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    // Ranks are shuffled: otherwise the frequent instruments would be neighbours in memory.
    let mut shuffled: Vec<u32> = (0..instruments as u64).map(index).collect();
    for n in (1..instruments).rev() {
        shuffled.swap(n, index(prng.below(n as u64 + 1)) as usize);
    }
    (0..ticks)
        .map(|_| {
            let point = prng.unit() * sum;
            shuffled[cumulated.partition_point(|sum| *sum < point).min(instruments - 1)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct_and_of_twelve_characters() {
        let ids: std::collections::HashSet<_> = (0..200_000).map(id).collect();
        assert_eq!(ids.len(), 200_000);
        assert!(ids.iter().all(|id| id.len() == 12));
    }

    #[test]
    fn a_later_pass_has_later_times_in_order() {
        let mut feed = Feed::new(10, Skew::Zipf, 1);
        let last = Feed::now(&feed.quotes);
        feed.advance();
        assert!(feed.quotes.iter().all(|(_, tick)| tick.time > last));
        assert!(feed.quotes.windows(2).all(|pair| pair[0].1.time <= pair[1].1.time));
    }
}
