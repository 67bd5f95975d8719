//! Tests of the leaders under random interleavings, simulated in one thread. Between any two steps that hold a
//! counter's lock, other threads may view, list and delist.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::*;

const INSTRUMENTS: usize = 300;
const STRIPES: usize = 4;

#[test]
fn ranks_go_by_views_and_then_by_the_bytes_of_the_id() {
    let rank = |views, id: &str| Rank { views, id: InstrumentId::new(id).unwrap() };
    assert!(rank(2, "b") < rank(1, "a"));
    assert!(rank(1, "10") < rank(1, "9"));
    let mut ranks = [rank(1, "9"), rank(3, "z"), rank(1, "10")];
    ranks.sort();
    assert_eq!(ranks, [rank(3, "z"), rank(1, "10"), rank(1, "9")]);
}

#[derive(Clone, Copy, Debug, Default)]
struct SimulatedCounter {
    generation: u32,
    is_listed: bool,
    views: u64,
    is_leader: bool,
}

/// Counters whose other threads take their steps between the steps of the leader set.
#[derive(Debug)]
struct Simulation {
    counters: RefCell<Vec<SimulatedCounter>>,
    floors: RefCell<[u64; STRIPES]>,
    /// Counted views that reached a floor and whose threads wait for the lock of the leader set.
    waiting: RefCell<Vec<Handle>>,
    random: Cell<u64>,
    /// The number of steps of other threads still to come.
    steps: Cell<usize>,
}

fn index(handle: Handle) -> usize {
    handle.slot as usize
}

fn id(index: usize) -> InstrumentId {
    InstrumentId::new(&(index * 7919 % 1009).to_string()).unwrap()
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let listed = SimulatedCounter { is_listed: true, ..SimulatedCounter::default() };
        Self {
            counters: RefCell::new(vec![listed; INSTRUMENTS]),
            floors: RefCell::default(),
            waiting: RefCell::default(),
            random: Cell::new(seed),
            steps: Cell::new(0),
        }
    }

    fn random_below(&self, bound: usize) -> usize {
        let next = self.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random.set(next);
        usize::try_from(next >> 33).unwrap() % bound
    }

    /// Runs some steps of other threads.
    fn run_other_threads(&self) {
        for _ in 0..self.random_below(10).min(self.steps.get()) {
            self.steps.set(self.steps.get() - 1);
            let index = self.near_the_floor();
            match self.random_below(40) {
                0 => self.delist(index),
                1 => self.counters.borrow_mut()[index].is_listed = true,
                // Up to three in a row: enough to overtake the counter that is being compared.
                views => (0..=views % 3).for_each(|_| self.view(index)),
            }
        }
    }

    /// Draws three counters and returns the one nearest to its floor, where the order of threads matters most.
    fn near_the_floor(&self) -> usize {
        let distance =
            |index: &usize| self.counters.borrow()[*index].views.abs_diff(self.floors.borrow()[index % STRIPES]);
        let drawn = [0; 3].map(|_| self.random_below(INSTRUMENTS));
        drawn.into_iter().min_by_key(distance).unwrap_or_default()
    }

    fn view(&self, index: usize) {
        let counter = &mut self.counters.borrow_mut()[index];
        if counter.is_listed {
            counter.views += 1;
            if !counter.is_leader && counter.views >= self.floors.borrow()[index % STRIPES] {
                self.waiting.borrow_mut().push(Self::handle(index, counter));
            }
        }
    }

    fn delist(&self, index: usize) {
        let counter = &mut self.counters.borrow_mut()[index];
        *counter = SimulatedCounter { generation: counter.generation + 1, ..SimulatedCounter::default() };
    }

    /// Delists most leaders, so that outsiders must be recruited.
    fn delist_most_leaders(&self) {
        for index in 0..INSTRUMENTS {
            let is_leader = self.counters.borrow()[index].is_leader;
            if is_leader && self.random_below(8) > 0 {
                self.delist(index);
            }
        }
    }

    /// Draws the thread that gets the lock of the leader set next.
    fn next_waiting(&self) -> Option<Handle> {
        let mut waiting = self.waiting.borrow_mut();
        let next = self.random_below(waiting.len().max(1));
        (next < waiting.len()).then(|| waiting.swap_remove(next))
    }

    fn handle(index: usize, counter: &SimulatedCounter) -> Handle {
        Handle { stripe: 0, slot: u32::try_from(index).unwrap(), generation: counter.generation }
    }

    /// Runs steps of other threads, and then one step under the lock of this counter.
    fn locked<T>(&self, handle: Handle, step: impl FnOnce(&mut SimulatedCounter, Rank) -> T) -> Option<T> {
        self.run_other_threads();
        let counter = &mut self.counters.borrow_mut()[index(handle)];
        let rank = Rank { views: counter.views, id: id(index(handle)) };
        (counter.is_listed && counter.generation == handle.generation).then(|| step(counter, rank))
    }

    fn sorted(&self) -> Vec<Popular> {
        let counters = self.counters.borrow();
        let viewed = counters.iter().enumerate().filter(|(_, counter)| counter.views > 0);
        let mut all: Vec<_> = viewed.map(|(index, counter)| Rank { views: counter.views, id: id(index) }).collect();
        all.sort();
        all.into_iter().map(|rank| Popular { id: rank.id, views: rank.views }).collect()
    }
}

impl Counters for &Simulation {
    fn rank(&mut self, handle: Handle) -> Option<Rank> {
        self.locked(handle, |_, rank| rank)
    }

    fn promote(&mut self, handle: Handle, floor: Option<&Rank>) -> Promotion {
        let promoted = self.locked(handle, |counter, rank| {
            let wins = !counter.is_leader && floor.is_none_or(|floor| rank < *floor);
            counter.is_leader |= wins;
            wins
        });
        if promoted == Some(true) { Promotion::Promoted } else { Promotion::Refused }
    }

    fn demote(&mut self, handle: Handle, floor: &Rank) -> Demotion {
        let refused = self.locked(handle, |counter, rank| {
            counter.is_leader = rank < *floor;
            counter.is_leader
        });
        if refused == Some(true) { Demotion::Refused } else { Demotion::Demoted }
    }

    fn set_floor(&mut self, views: u64) {
        for stripe in 0..STRIPES {
            self.run_other_threads();
            self.floors.borrow_mut()[stripe] = views;
        }
    }

    fn for_each_outsider(&mut self, each: &mut dyn FnMut(Rank, Handle)) {
        for stripe in 0..STRIPES {
            self.run_other_threads();
            for (index, counter) in self.counters.borrow().iter().enumerate().skip(stripe).step_by(STRIPES) {
                if counter.views > 0 && !counter.is_leader {
                    each(Rank { views: counter.views, id: id(index) }, Simulation::handle(index, counter));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_top_is_exact_after_any_interleaving_that_the_locks_allow(
        seed in any::<u64>(), pauses in prop::collection::vec(0..1_000_usize, 1..40),
    ) {
        let (simulation, mut leaders) = (Simulation::new(seed), Leaders::new());
        let mut counters = &simulation;
        let mut top = Vec::new();
        for steps in pauses {
            simulation.steps.set(steps);
            while simulation.steps.get() > 0 || !simulation.waiting.borrow().is_empty() {
                simulation.run_other_threads();
                match simulation.random_below(300) {
                    0 => simulation.delist_most_leaders(),
                    1..10 => leaders.top(1 + simulation.random_below(64), &mut counters, &mut top),
                    _ => {}
                }
                if let Some(handle) = simulation.next_waiting() {
                    leaders.consider(handle, &mut counters);
                }
            }
            // No thread counts any more, so the top must be exact now. A later view would hide a missing leader.
            let k = 1 + simulation.random_below(64);
            leaders.top(k, &mut counters, &mut top);
            let mut sorted = simulation.sorted();
            sorted.truncate(k);
            prop_assert_eq!(&top, &sorted);
        }
    }
}
