//! Contenders timed in turn, round by round, so that a machine that drifts favours none of them.

use std::sync::Barrier;
use std::time::{Duration, Instant};

/// What each contender took in each round.
#[derive(Debug)]
pub struct Pairs {
    names: Vec<&'static str>,
    /// One row for each round, in the order of `names`.
    rounds: Vec<Vec<f64>>,
}

impl Pairs {
    /// No rounds yet, of these contenders.
    pub fn new(names: &[&'static str]) -> Self {
        Self { names: names.to_vec(), rounds: Vec::new() }
    }

    /// Adds a round: `time` is asked for each contender in turn, every second round in reverse, how long one unit of
    /// work took it.
    pub fn round(&mut self, mut time: impl FnMut(&'static str) -> f64) {
        let mut row = vec![0.0; self.names.len()];
        let mut order: Vec<usize> = (0..row.len()).collect();
        if self.rounds.len() % 2 == 1 {
            order.reverse();
        }
        for place in order {
            row[place] = time(self.names[place]);
        }
        self.rounds.push(row);
    }

    /// The median time of a contender.
    pub fn time(&self, name: &str) -> f64 {
        let place = self.place(name);
        median(self.rounds.iter().map(|row| row[place]).collect())
    }

    /// The median times of these contenders, for a note.
    pub fn times(&self, names: &[&str]) -> String {
        names.iter().map(|name| format!("{name} {:.1}", self.time(name))).collect::<Vec<_>>().join(", ")
    }

    /// The median over rounds of how many times as long as `b` the contender `a` took.
    pub fn ratio(&self, a: &str, b: &str) -> f64 {
        let (a, b) = (self.place(a), self.place(b));
        median(self.rounds.iter().map(|row| row[a] / row[b]).collect())
    }

    /// The median over rounds of any figure made of the times of a round.
    pub fn figure<const N: usize>(&self, names: [&str; N], figure: impl Fn([f64; N]) -> f64) -> f64 {
        let places = names.map(|name| self.place(name));
        median(self.rounds.iter().map(|row| figure(places.map(|place| row[place]))).collect())
    }

    fn place(&self, name: &str) -> usize {
        self.names.iter().position(|known| *known == name).expect("a contender of these rounds")
    }

    /// Nanoseconds for each of `units` of work that `run` does.
    pub fn clock(units: usize, run: impl FnOnce()) -> f64 {
        let start = Instant::now();
        run();
        nanos(start.elapsed()) / units as f64
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// Runs `work(0)`, `work(1)`, ... on a thread each, and gives the time from the start of all to the end of the last.
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

/// The median; of an even number the upper one of the two.
pub fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_medians_of_the_ratios_of_rounds() {
        let mut pairs = Pairs::new(&["a", "b"]);
        for (a, b) in [(2.0, 1.0), (30.0, 10.0), (4.0, 4.0)] {
            pairs.round(|name| if name == "a" { a } else { b });
        }
        assert_eq!(pairs.ratio("a", "b"), 2.0);
        assert_eq!(pairs.time("b"), 4.0);
    }
}
