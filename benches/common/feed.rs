//! Ticks of a seed, as a feed's buffer holds them.

use std::time::{Duration, Instant};

use candle_core::{Tick, Timestamp};

use super::prng::Prng;

/// Ticks in one pass over a feed: with 50 k instruments a quarter of their lines comes around more than twice, and the
/// ticks themselves (7 MB) fit the last cache beside the candles.
pub const PASS: usize = 1 << 17;

/// Which instruments are quoted how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// All alike.
    Uniform,
    /// The n-th most frequent one in proportion to 1/n.
    Zipf,
}

/// A pass of ticks in order of time, with the bytes of the ids one after another as a socket's buffer has them.
#[derive(Debug)]
pub struct Feed {
    /// Every instrument's id, 12 characters as an ISIN has.
    pub ids: Vec<String>,
    /// The instrument of each tick, as a place in `ids`.
    pub places: Vec<u32>,
    /// The ticks, by id.
    pub quotes: Vec<(&'static str, Tick)>,
    passes: u64,
}

impl Feed {
    /// A feed of [`PASS`] ticks, which stand at the first pass.
    ///
    /// # Panics
    /// When asked for no instruments, or for 2^32 and more.
    pub fn new(instruments: usize, skew: Skew, seed: u64) -> Self {
        Self::of(PASS, instruments, skew, seed)
    }

    /// A feed of so many ticks.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn of(ticks: usize, instruments: usize, skew: Skew, seed: u64) -> Self {
        let ids: Vec<String> = (0..instruments).map(id).collect();
        let mut prng = Prng::new(seed);
        let places: Vec<u32> = match skew {
            Skew::Uniform => (0..ticks).map(|_| place(prng.below(instruments as u64))).collect(),
            Skew::Zipf => zipf(ticks, instruments, &mut prng),
        };
        let mut text = String::with_capacity(ticks * 12);
        text.extend(places.iter().map(|place| ids[*place as usize].as_str()));
        // A benchmark's input lives as long as its process.
        let text: &'static str = text.leak();
        let start = Timestamp::EPOCH;
        let quotes = (0..ticks)
            .map(|n| (&text[n * 12..(n + 1) * 12], Tick::new(start, 100.0 + prng.unit()).with_size(prng.unit())))
            .collect();
        let mut feed = Self { ids, places, quotes, passes: 0 };
        feed.advance();
        feed
    }

    /// Moves all ticks to the next pass: later in time, still in order. An instrument has 120 a minute on average.
    pub fn advance(&mut self) {
        let first = self.passes * self.quotes.len() as u64;
        self.passes += 1;
        let instruments = self.ids.len() as u64;
        for (n, (_, tick)) in (first..).zip(&mut self.quotes) {
            tick.time = Timestamp::EPOCH.saturating_add((n * 500_000 / instruments).cast_signed());
            tick.seq = n;
        }
    }

    /// How long so many passes take by `pass`, each later in time than the one before.
    pub fn time(&mut self, passes: u64, mut pass: impl FnMut(&Self)) -> Duration {
        let timed = |_| {
            self.advance();
            let start = Instant::now();
            pass(self);
            start.elapsed()
        };
        (0..passes).map(timed).sum()
    }

    /// When the last tick of these happened: what "now" is for all of them.
    pub fn now(quotes: &[(&str, Tick)]) -> Timestamp {
        quotes.last().map_or(Timestamp::EPOCH, |(_, tick)| tick.time)
    }
}

fn place(number: u64) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 instruments")
}

/// The n-th id: distinct for distinct `n`, and looking like an ISIN.
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
    // Ranks are dealt out, so that the frequent ones do not lie side by side where places are an order in memory.
    let mut dealt: Vec<u32> = (0..instruments as u64).map(place).collect();
    for n in (1..instruments).rev() {
        dealt.swap(n, place(prng.below(n as u64 + 1)) as usize);
    }
    (0..ticks)
        .map(|_| {
            let point = prng.unit() * sum;
            dealt[cumulated.partition_point(|sum| *sum < point).min(instruments - 1)]
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
    fn passes_go_on_in_order() {
        let mut feed = Feed::new(10, Skew::Zipf, 1);
        let last = Feed::now(&feed.quotes);
        feed.advance();
        assert!(feed.quotes.iter().all(|(_, tick)| tick.time > last));
        assert!(feed.quotes.windows(2).all(|pair| pair[0].1.time <= pair[1].1.time));
    }
}
