//! Ticks as a feed's buffer contains them: real trades, or ticks of a seed with the times of real trades.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use candle_core::{Tick, Timestamp};

use super::prng::Prng;
use super::trades::Trades;

/// The number of ticks in one pass. 50,000 instruments have 5 each on average, and the ticks take 12 MB.
pub const PASS: usize = 1 << 18;

/// The longest time between the first and the last tick of a batch, in microseconds. A third of the default window, so
/// that no tick of a batch is too old at the time of the last one.
const LONGEST_BATCH_MICROS: i64 = 10 * 60_000_000;

/// One minute in microseconds.
const MINUTE_MICROS: i64 = 60_000_000;

/// The time of the first generated tick: 2025-03-25 23:07:55 UTC in microseconds, five seconds before a minute ends.
const START_MICROS: i64 = 1_742_944_075_000_000;

/// The frequency of each instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// All instruments are equally frequent.
    Uniform,
    /// The frequency of the n-th most frequent instrument is proportional to 1/n.
    Zipf,
}

/// The arrival of ticks. Times are whole milliseconds, as exchanges send them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Trades: one order fills several others, so an instrument has several ticks in one millisecond. The lengths of these
    /// bursts are drawn from those of `examples/data/trades-2025-03-25.ndjson` (4.6 ticks on average).
    Bursts,
    /// Quotes: each tick is of an instrument drawn anew. The hardest order for the caches.
    Single,
}

/// A pass of ticks in order of time. The bytes of the ids lie one after another, as in the buffer of a socket.
#[derive(Debug)]
pub struct Feed {
    /// The id of every instrument. Generated ids have 12 characters, as an ISIN has.
    pub ids: Vec<String>,
    /// The instrument of each tick, as an index into `ids`.
    pub instruments: Vec<u32>,
    /// The ticks, by id.
    pub quotes: Vec<(&'static str, Tick)>,
    /// The time and number of each tick in the first pass.
    first: Vec<(Timestamp, u64)>,
    /// The time from one pass to the next, in whole milliseconds.
    span_micros: i64,
    passes: u32,
}

impl Feed {
    /// Creates a feed of [`PASS`] ticks in bursts, at the first pass.
    ///
    /// # Panics
    /// If `instruments` is 0, or 2^32 or more.
    pub fn new(instruments: usize, skew: Skew, seed: u64) -> Self {
        Self::of(PASS, instruments, skew, Arrivals::Bursts, seed)
    }

    /// Creates a feed of `ticks` ticks, 120 a minute for each instrument on average.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn of(ticks: usize, instruments: usize, skew: Skew, arrivals: Arrivals, seed: u64) -> Self {
        let ids: Vec<String> = (0..instruments).map(id).collect();
        let mut prng = Prng::new(seed);
        let lengths = match arrivals {
            Arrivals::Bursts => Trades::binance().bursts(),
            Arrivals::Single => vec![1],
        };
        // (ticks before the burst, ticks of the burst)
        let mut bursts = Vec::new();
        let mut dealt = 0;
        while dealt < ticks {
            let length = lengths[usize_of(prng.below(lengths.len() as u64))] as usize;
            let length = length.min(ticks - dealt);
            bursts.push((dealt, length));
            dealt += length;
        }
        let drawn = match skew {
            Skew::Uniform => bursts.iter().map(|_| index(prng.below(instruments as u64))).collect(),
            Skew::Zipf => zipf(bursts.len(), instruments, &mut prng),
        };
        let millis = |tick: usize| (tick as u64 * 500 / instruments as u64).cast_signed();
        let each = bursts.iter().zip(drawn).flat_map(|((start, length), index)| {
            let time = Timestamp::EPOCH.saturating_add(START_MICROS + millis(*start) * 1_000);
            std::iter::repeat_n((index, time), *length)
        });
        let (indices, times): (Vec<u32>, Vec<Timestamp>) = each.unzip();
        let ticks: Vec<Tick> = times
            .into_iter()
            .zip(1..)
            .map(|(time, seq)| {
                // Whole ten-thousandths above 0: no exchange sends more digits than it can print.
                let [price, size] = [(); 2].map(|()| (1 + prng.below(10_000)) as f64);
                Tick::new(time, (1e6 + price) / 1e4).with_size(size / 1e4).with_seq(seq)
            })
            .collect();
        Self::from_parts(ids, indices, &ticks, (millis(ticks.len()) + 1) * 1_000)
    }

    /// Creates a feed of real trades. Each later pass starts a whole number of minutes after the one before.
    ///
    /// # Panics
    /// If there are no trades.
    pub fn real(trades: Trades) -> Self {
        let mut ids: Vec<String> = Vec::new();
        let mut known = HashMap::new();
        let (mut indices, mut ticks) = (Vec::new(), Vec::new());
        for (id, tick) in trades.quotes {
            indices.push(*known.entry(id).or_insert_with_key(|id| {
                ids.push(id.clone());
                index(ids.len() as u64 - 1)
            }));
            ticks.push(tick);
        }
        let times = || ticks.iter().map(|tick| tick.time.as_micros());
        let (Some(first), Some(last)) = (times().min(), times().max()) else { panic!("there are no trades") };
        let span = ((last - first) / MINUTE_MICROS + 1) * MINUTE_MICROS;
        Self::from_parts(ids, indices, &ticks, span)
    }

    fn from_parts(ids: Vec<String>, instruments: Vec<u32>, ticks: &[Tick], span_micros: i64) -> Self {
        let mut text = String::new();
        let ends: Vec<usize> = instruments
            .iter()
            .map(|index| {
                text.push_str(&ids[*index as usize]);
                text.len()
            })
            .collect();
        // The input of a benchmark lives as long as its process.
        let text: &'static str = text.leak();
        let starts = std::iter::once(&0).chain(&ends);
        let quotes = starts.zip(&ends).zip(ticks).map(|((start, end), tick)| (&text[*start..*end], *tick)).collect();
        let first = ticks.iter().map(|tick| (tick.time, tick.seq)).collect();
        Self { ids, instruments, quotes, first, span_micros, passes: 0 }
    }

    /// Moves all ticks to the next pass: later in time and number, in the same order.
    pub fn advance(&mut self) {
        self.passes += 1;
        let micros = self.span_micros * i64::from(self.passes);
        // More than there are numbers in the pass.
        let numbers = u64::from(self.passes) << 32;
        for ((time, seq), (_, tick)) in self.first.iter().zip(&mut self.quotes) {
            tick.time = time.saturating_add(micros);
            tick.seq = seq + numbers;
        }
    }

    /// Returns the time of so many passes by `pass`, each later in time than the one before.
    pub fn time(&mut self, passes: u64, mut pass: impl FnMut(&Self)) -> Duration {
        let timed = |_| {
            self.advance();
            let start = Instant::now();
            pass(self);
            start.elapsed()
        };
        (0..passes).map(timed).sum()
    }

    /// Returns the time of the last of these ticks: `now` for all of them.
    pub fn now(quotes: &[(&str, Tick)]) -> Timestamp {
        quotes.last().map_or(Timestamp::EPOCH, |(_, tick)| tick.time)
    }
}

/// Cuts ticks into batches of at most `len` ticks and ten minutes.
pub fn batches<K>(mut ticks: &[(K, Tick)], len: usize) -> impl Iterator<Item = &[(K, Tick)]> {
    std::iter::from_fn(move || {
        let (_, first) = ticks.first()?;
        let last = first.time.saturating_add(LONGEST_BATCH_MICROS);
        let mut end = len.min(ticks.len());
        if ticks[end - 1].1.time > last {
            end = ticks[..end].partition_point(|(_, tick)| tick.time <= last).max(1);
        }
        let (batch, rest) = ticks.split_at(end);
        ticks = rest;
        Some(batch)
    })
}

fn index(number: u64) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 instruments")
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).expect("an index fits a usize")
}

/// Returns the n-th id: distinct for distinct `n`, in the form of an ISIN.
fn id(n: usize) -> String {
    let mixed = Prng::new(n as u64).next_u64() >> 40;
    format!("{:02X}{mixed:06X}{:04X}", n >> 16, n & 0xFFFF)
}

fn zipf(count: usize, instruments: usize, prng: &mut Prng) -> Vec<u32> {
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (1..=instruments)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    // Ranks are shuffled, so that the frequent instruments do not lie side by side in memory.
    let mut dealt: Vec<u32> = (0..instruments as u64).map(index).collect();
    for n in (1..instruments).rev() {
        dealt.swap(n, usize_of(prng.below(n as u64 + 1)));
    }
    (0..count)
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
    fn passes_are_in_order_and_in_whole_milliseconds() {
        for arrivals in [Arrivals::Bursts, Arrivals::Single] {
            let mut feed = Feed::of(10_000, 10, Skew::Zipf, arrivals, 1);
            let last = Feed::now(&feed.quotes);
            feed.advance();
            assert!(feed.quotes.iter().all(|(_, tick)| tick.time > last && tick.time.as_micros() % 1_000 == 0));
            assert!(feed.quotes.is_sorted_by_key(|(_, tick)| (tick.time, tick.seq)));
        }
    }

    #[test]
    fn generated_bursts_are_as_long_as_real_ones() {
        let feed = Feed::of(100_000, 50_000, Skew::Uniform, Arrivals::Bursts, 1);
        let shared = feed.quotes.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1.time == pair[1].1.time);
        // 8,650 of the 11,032 real trades.
        assert!((0.75..0.81).contains(&(shared.count() as f64 / 100_000.0)));
    }

    #[test]
    fn batches_are_short_and_complete() {
        let at = |minute: i64| ((), Tick::new(Timestamp::EPOCH.saturating_add(minute * MINUTE_MICROS), 1.0));
        let ticks = [0, 1, 10, 11, 40, 41].map(at);
        let lens: Vec<usize> = batches(&ticks, 4).map(<[_]>::len).collect();
        assert_eq!(lens, [3, 1, 2]);
        assert_eq!(batches(&ticks, 1).count(), 6);
    }
}
