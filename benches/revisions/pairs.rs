//! Contenders timed in turn.

use std::sync::Barrier;
use std::time::Instant;

use cpu_time::ThreadTime;

type Contender<'a> = (&'static str, &'a mut dyn FnMut() -> f64);

/// The times of each contender in each round.
#[derive(Default)]
pub(crate) struct Pairs {
    rounds: Vec<Vec<(&'static str, f64)>>,
}

impl Pairs {
    /// Times each contender once. Every second round runs in reverse.
    pub(crate) fn round(&mut self, contenders: &mut [Contender<'_>]) {
        self.rounds.push(Vec::new());
        self.extend_round(contenders);
    }

    /// Times more contenders of the same round.
    pub(crate) fn extend_round(&mut self, contenders: &mut [Contender<'_>]) {
        let is_reverse = self.rounds.len() % 2 == 0;
        let round = self.rounds.last_mut().expect("a round was started");
        if is_reverse {
            round.extend(contenders.iter_mut().rev().map(|(name, time)| (*name, time())));
        } else {
            round.extend(contenders.iter_mut().map(|(name, time)| (*name, time())));
        }
    }

    /// Prints the median ratio of two contenders, and the median times in nanoseconds a tick.
    pub(crate) fn print(&self, what: &str, a: &str, b: &str) {
        let times = |name: &str| -> Vec<f64> {
            let find = |round: &Vec<(&str, f64)>| round.iter().find(|(known, _)| *known == name).expect("known").1;
            self.rounds.iter().map(find).collect()
        };
        let (a, b) = (times(a), times(b));
        let ratios = a.iter().zip(&b).map(|(a, b)| a / b).collect();
        println!("| {what} | {:.2} | {:.1} / {:.1} ns |", median(ratios), median(a), median(b));
    }
}

/// Returns the nanoseconds of this thread's processor time for each of `units` units of work, so that other programs on the
/// machine disturb less.
pub(crate) fn clock(units: usize, work: impl FnOnce()) -> f64 {
    let start = ThreadTime::now();
    work();
    start.elapsed().as_secs_f64() * 1e9 / units as f64
}

/// Returns the nanoseconds for each tick of two threads, from the start of both to the end of the last.
pub(crate) fn at_once<T: Sync>(ticks: [&T; 2], work: impl Fn(&T) + Sync) -> f64 {
    let barrier = Barrier::new(3);
    std::thread::scope(|scope| {
        for ticks in ticks {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                work(ticks);
                barrier.wait();
            });
        }
        barrier.wait();
        let start = Instant::now();
        barrier.wait();
        start.elapsed().as_secs_f64() * 1e9 / (2 * crate::TICKS) as f64
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
