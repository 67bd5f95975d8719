//! Every interleaving that the locks allow, drawn at random in one thread: between any two steps that hold a stripe's lock,
//! other threads may view, list and delist.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::*;

const INSTRUMENTS: usize = 300;
const STRIPES: usize = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    generation: u32,
    is_listed: bool,
    views: u64,
    is_leader: bool,
}

#[derive(Debug)]
struct Stage {
    slots: RefCell<Vec<Slot>>,
    floors: RefCell<[u64; STRIPES]>,
    /// Views that crossed a floor and whose threads wait for the leaders' lock.
    waiting: RefCell<Vec<Handle>>,
    draw: Cell<u64>,
    /// How many steps of other threads are still to come.
    steps: Cell<usize>,
}

fn place(handle: Handle) -> usize {
    handle.slot as usize
}

fn id(place: usize) -> InstrumentId {
    InstrumentId::new(&(place * 7919 % 1009).to_string()).unwrap()
}

impl Stage {
    fn new(seed: u64) -> Self {
        let listed = Slot { is_listed: true, ..Slot::default() };
        Self {
            slots: RefCell::new(vec![listed; INSTRUMENTS]),
            floors: RefCell::default(),
            waiting: RefCell::default(),
            draw: Cell::new(seed),
            steps: Cell::new(0),
        }
    }

    fn below(&self, bound: usize) -> usize {
        let next = self.draw.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.draw.set(next);
        usize::try_from(next >> 33).unwrap() % bound
    }

    /// Some steps of other threads.
    fn meanwhile(&self) {
        for _ in 0..self.below(10).min(self.steps.get()) {
            self.steps.set(self.steps.get() - 1);
            let place = self.near_the_floor();
            match self.below(40) {
                0 => self.delist(place),
                1 => self.slots.borrow_mut()[place].is_listed = true,
                // A few in a row: enough to overtake whoever is just being judged.
                views => (0..=views % 3).for_each(|_| self.view(place)),
            }
        }
    }

    /// One of three that stands nearest to its floor: there is where it matters who comes when.
    fn near_the_floor(&self) -> usize {
        let distance =
            |place: &usize| self.slots.borrow()[*place].views.abs_diff(self.floors.borrow()[place % STRIPES]);
        let drawn = [0; 3].map(|_| self.below(INSTRUMENTS));
        drawn.into_iter().min_by_key(distance).unwrap_or_default()
    }

    fn view(&self, place: usize) {
        let slot = &mut self.slots.borrow_mut()[place];
        if slot.is_listed {
            slot.views += 1;
            if !slot.is_leader && slot.views >= self.floors.borrow()[place % STRIPES] {
                self.waiting.borrow_mut().push(Self::handle(place, slot));
            }
        }
    }

    fn delist(&self, place: usize) {
        let slot = &mut self.slots.borrow_mut()[place];
        *slot = Slot { generation: slot.generation + 1, ..Slot::default() };
    }

    /// So that others must be recruited.
    fn delist_most_leaders(&self) {
        for place in 0..INSTRUMENTS {
            let is_leader = self.slots.borrow()[place].is_leader;
            if is_leader && self.below(8) > 0 {
                self.delist(place);
            }
        }
    }

    /// Whichever thread gets the leaders' lock next.
    fn next_waiting(&self) -> Option<Handle> {
        let mut waiting = self.waiting.borrow_mut();
        let next = self.below(waiting.len().max(1));
        (next < waiting.len()).then(|| waiting.swap_remove(next))
    }

    fn handle(place: usize, slot: &Slot) -> Handle {
        Handle { stripe: 0, slot: u32::try_from(place).unwrap(), generation: slot.generation }
    }

    /// One step under the lock of this instrument's stripe, with what others did before it.
    fn locked<T>(&self, handle: Handle, step: impl FnOnce(&mut Slot, Rank) -> T) -> Option<T> {
        self.meanwhile();
        let slot = &mut self.slots.borrow_mut()[place(handle)];
        let rank = Rank { views: slot.views, id: id(place(handle)) };
        (slot.is_listed && slot.generation == handle.generation).then(|| step(slot, rank))
    }

    fn sorted(&self) -> Vec<Popular> {
        let slots = self.slots.borrow();
        let viewed = slots.iter().enumerate().filter(|(_, slot)| slot.views > 0);
        let mut all: Vec<_> = viewed.map(|(place, slot)| Rank { views: slot.views, id: id(place) }).collect();
        all.sort();
        all.into_iter().map(|rank| Popular { id: rank.id, views: rank.views }).collect()
    }
}

impl Counters for Stage {
    fn rank(&self, handle: Handle) -> Option<Rank> {
        self.locked(handle, |_, rank| rank)
    }

    fn promote(&self, handle: Handle, floor: Option<&Rank>) -> Promotion {
        let promoted = self.locked(handle, |slot, rank| {
            let wins = !slot.is_leader && floor.is_none_or(|floor| rank < *floor);
            slot.is_leader |= wins;
            wins
        });
        if promoted == Some(true) { Promotion::Promoted } else { Promotion::Refused }
    }

    fn demote(&self, handle: Handle, floor: &Rank) -> Leave {
        let stays = self.locked(handle, |slot, rank| {
            slot.is_leader = rank < *floor;
            slot.is_leader
        });
        if stays == Some(true) { Leave::Stays } else { Leave::Gone }
    }

    fn set_floor(&self, views: u64) {
        for stripe in 0..STRIPES {
            self.meanwhile();
            self.floors.borrow_mut()[stripe] = views;
        }
    }

    fn outsiders(&self, each: &mut dyn FnMut(Rank, Handle)) {
        for stripe in 0..STRIPES {
            self.meanwhile();
            for (place, slot) in self.slots.borrow().iter().enumerate().skip(stripe).step_by(STRIPES) {
                if slot.views > 0 && !slot.is_leader {
                    each(Rank { views: slot.views, id: id(place) }, Self::handle(place, slot));
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
        let (stage, popularity) = (Stage::new(seed), Popularity::new());
        let mut top = Vec::new();
        for steps in pauses {
            stage.steps.set(steps);
            while stage.steps.get() > 0 || !stage.waiting.borrow().is_empty() {
                stage.meanwhile();
                match stage.below(300) {
                    0 => stage.delist_most_leaders(),
                    1..10 => popularity.top(1 + stage.below(64), &stage, &mut top),
                    _ => {}
                }
                if let Some(handle) = stage.next_waiting() {
                    popularity.consider(handle, &stage);
                }
            }
            // Nobody views any more: now it must be exact. A coming view would hide who was forgotten.
            let k = 1 + stage.below(64);
            popularity.top(k, &stage, &mut top);
            let mut sorted = stage.sorted();
            sorted.truncate(k);
            prop_assert_eq!(&top, &sorted);
        }
    }
}
