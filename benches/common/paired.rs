//! Interleaved measurements: contenders are timed in turn, so that changes of the machine's speed affect all of them.

use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

/// The time of each contender in each round.
#[derive(Debug)]
pub struct Pairs {
    names: Vec<&'static str>,
    /// One row per round, in the order of `names`.
    rounds: Vec<Vec<f64>>,
}

impl Pairs {
    /// Creates a measurement of these contenders, without rounds.
    pub fn new(names: &[&'static str]) -> Self {
        Self { names: names.to_vec(), rounds: Vec::new() }
    }

    /// Adds a round. `time` returns the time of one unit of a contender's work; it is called for each contender, in
    /// reverse order in every second round.
    pub fn round(&mut self, mut time: impl FnMut(&'static str) -> f64) {
        let mut row = vec![0.0; self.names.len()];
        let mut order: Vec<usize> = (0..row.len()).collect();
        if self.rounds.len() % 2 == 1 {
            order.reverse();
        }
        for index in order {
            row[index] = time(self.names[index]);
        }
        self.rounds.push(row);
    }

    /// Returns the median time of a contender.
    pub fn time(&self, name: &str) -> f64 {
        let index = self.index(name);
        median(self.rounds.iter().map(|row| row[index]).collect())
    }

    /// Returns the median times of these contenders as text.
    pub fn times(&self, names: &[&str]) -> String {
        names.iter().map(|name| format!("{name} {:.1}", self.time(name))).collect::<Vec<_>>().join(", ")
    }

    /// Returns the median over all rounds of the time of `a` divided by the time of `b`.
    pub fn ratio(&self, a: &str, b: &str) -> f64 {
        let (a, b) = (self.index(a), self.index(b));
        median(self.rounds.iter().map(|row| row[a] / row[b]).collect())
    }

    /// Returns the median over all rounds of a figure computed from the times of one round.
    pub fn figure<const N: usize>(&self, names: [&str; N], figure: impl Fn([f64; N]) -> f64) -> f64 {
        let indices = names.map(|name| self.index(name));
        median(self.rounds.iter().map(|row| figure(indices.map(|index| row[index]))).collect())
    }

    fn index(&self, name: &str) -> usize {
        self.names.iter().position(|known| *known == name).expect("a contender of these rounds")
    }

    /// Returns nanoseconds for each of `units` of work that `run` does on this thread, by [`Clock::from_env`].
    pub fn clock(units: usize, run: impl FnOnce()) -> f64 {
        let clock = Clock::from_env();
        let start = clock.now();
        run();
        clock.since(start).as_secs_f64() * 1e9 / units as f64
    }
}

/// A clock for work on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The time that passes. The default.
    Wall,
    /// The time for which the thread ran, on Linux only. For machines on which other programs run.
    Processor,
}

impl Clock {
    /// Returns the clock that the variable `CANDLE_BENCH_CLOCK` names: `wall` or `processor`.
    ///
    /// # Panics
    /// If the variable has another value.
    pub fn from_env() -> Self {
        match std::env::var("CANDLE_BENCH_CLOCK").as_deref() {
            Err(_) | Ok("wall") => Self::Wall,
            Ok("processor") => Self::Processor,
            Ok(other) => panic!("CANDLE_BENCH_CLOCK is `{other}`; `wall` or `processor` is expected"),
        }
    }

    /// Returns the time since an earlier [`now`](Self::now) of this thread.
    pub fn since(self, earlier: Duration) -> Duration {
        self.now().saturating_sub(earlier)
    }

    /// Returns the time since a start that is the same for all calls on one thread.
    ///
    /// # Panics
    /// If the system does not report the processor time of a thread.
    pub fn now(self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        if self == Self::Wall {
            return START.get_or_init(Instant::now).elapsed();
        }
        // The system adds up a thread's time when the thread yields.
        std::thread::yield_now();
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux reports the processor time");
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("the first number is the time");
        Duration::from_nanos(nanos)
    }
}

/// Runs `work(0)`, `work(1)`, ... on one thread each, and returns the time until the last one has ended.
pub fn at_once(threads: usize, work: impl Fn(usize) + Sync) -> Duration {
    let barrier = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        for number in 0..threads {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                work(number);
                barrier.wait();
            });
        }
        barrier.wait();
        let start = Instant::now();
        barrier.wait();
        start.elapsed()
    })
}

/// Returns the median; for an even number of values the upper one of the middle two.
pub fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_ratios_of_all_rounds() {
        let mut pairs = Pairs::new(&["a", "b"]);
        for (a, b) in [(2.0, 1.0), (30.0, 10.0), (4.0, 4.0)] {
            pairs.round(|name| if name == "a" { a } else { b });
        }
        assert_eq!(pairs.ratio("a", "b"), 2.0);
        assert_eq!(pairs.time("b"), 4.0);
    }
}
