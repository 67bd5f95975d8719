//! The most viewed instruments, exactly, at the price of one comparison for each view.

use parking_lot::Mutex;

use crate::instrument::{Handle, InstrumentId};
use crate::top_k::{Leave, Rank, TopK};

/// One of the most viewed instruments.
///
/// ```
/// use candle_core::Aggregator;
///
/// let aggregator = Aggregator::default();
/// for id in ["9", "10", "11"] {
///     aggregator.list(id, None)?;
/// }
/// aggregator.count_view("9");
/// let mut top = Vec::new();
/// aggregator.top(2, &mut top);
/// assert_eq!(top.iter().map(|popular| popular.id.as_str()).collect::<Vec<_>>(), ["9", "10"]);
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Popular {
    /// The instrument.
    pub id: InstrumentId,
    /// How often it was viewed since it was listed.
    pub views: u64,
}

/// The counters, which live with the instruments under the locks of their stripes. Each call takes one such lock (or one
/// after another), and none takes the lock of [`Popularity`]: that one is always taken first.
pub(crate) trait Counters {
    /// The rank of a listed instrument, `None` once it is delisted.
    fn rank(&self, handle: Handle) -> Option<Rank>;

    /// Makes a leader of a listed instrument that is none and stands before `floor`; whether it did.
    fn promote(&self, handle: Handle, floor: Option<&Rank>) -> Promotion;

    /// Makes a leader an ordinary instrument again, unless it stands before `floor` by now.
    fn demote(&self, handle: Handle, floor: &Rank) -> Leave;

    /// Sets the views from which on one that is no leader is reported, in every stripe.
    fn set_floor(&self, views: u64);

    /// Calls `each` for every instrument that has views and is no leader.
    fn outsiders(&self, each: &mut dyn FnMut(Rank, Handle));
}

/// What became of one that asked to be a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promotion {
    /// It is a leader from now on.
    Promoted,
    /// It is delisted, or a leader already, or does not stand before the floor.
    Refused,
}

/// The leaders' lock.
///
/// Lock order: the catalogue's, this one, a stripe's. A view holds only its stripe's lock while it counts, and comes here
/// after it let go of it, only when one that is no leader reached its stripe's copy of the floor. What it saw is judged
/// again under both locks.
///
/// Why nobody is missed: a floor is raised only after everyone who stays outside ranked behind it under their own
/// stripe's lock, and lowered (before all counters are read again) in a stripe before that stripe is read. Whoever is
/// counted later therefore compares with a floor that is at most the right one, and at worst comes here in vain.
///
/// Nothing here is lock-free: a stripe's copy of the floor is read and written under that stripe's lock, like the counters
/// and the marks of leadership, and the leaders themselves under this one. An instrument is meant by its handle, whose
/// generation is compared under the stripe's lock each time; so a view of a delisted one moves nothing.
#[derive(Debug)]
pub(crate) struct Popularity {
    leaders: Mutex<TopK>,
}

impl Popularity {
    pub(crate) fn new() -> Self {
        Self { leaders: Mutex::new(TopK::new()) }
    }

    /// Considers one that is no leader and reached the floor.
    #[cold]
    pub(crate) fn consider(&self, handle: Handle, counters: &impl Counters) {
        let mut leaders = self.leaders.lock();
        if counters.promote(handle, leaders.floor()) == Promotion::Refused {
            return;
        }
        leaders.push(handle);
        while leaders.is_full() {
            cut_back(&mut leaders, counters);
        }
    }

    /// The `k` most viewed of those that have views, most first and ties by id, into `top`.
    pub(crate) fn top(&self, k: usize, counters: &impl Counters, top: &mut Vec<Popular>) {
        let mut leaders = self.leaders.lock();
        let mut living = leaders.rank(|handle| counters.rank(handle)).len();
        if living < k && leaders.floor().is_some() {
            recruit(&mut leaders, counters);
            living = leaders.rank(|handle| counters.rank(handle)).len();
        }
        top.clear();
        top.extend(
            leaders.ranked()[..k.min(living)]
                .iter()
                .map(|(rank, _)| Popular { id: rank.id.clone(), views: rank.views }),
        );
    }
}

/// Keeps the best leaders, and raises the floor to the last of them.
fn cut_back(leaders: &mut TopK, counters: &impl Counters) {
    leaders.rank(|handle| counters.rank(handle));
    leaders.cut(|handle, floor| counters.demote(handle, floor));
    counters.set_floor(leaders.floor().map_or(0, |floor| floor.views));
}

/// Fills up leaders of whom too many were delisted, by reading all counters: the one step that costs more with more
/// instruments, and it takes over fifty delisted leaders to bring it about.
fn recruit(leaders: &mut TopK, counters: &impl Counters) {
    counters.set_floor(0);
    let outsiders = TopK::best_of(|each| counters.outsiders(each));
    leaders.set_floor(outsiders.floor);
    for handle in outsiders.best {
        if counters.promote(handle, None) == Promotion::Promoted {
            leaders.push(handle);
        }
    }
    counters.set_floor(leaders.floor().map_or(0, |floor| floor.views));
}

#[cfg(test)]
mod tests;
