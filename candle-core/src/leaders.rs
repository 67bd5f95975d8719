//! The leader set: a superset of the 64 most viewed ids, kept exact with one comparison for each view.
//!
//! [`Aggregator`](crate::Aggregator) and [`Popularity`](crate::Popularity) share this set. Each of them stores its own
//! counters and implements [`Counters`].

use crate::handle::Handle;
use crate::instrument_id::InstrumentId;

/// An id and its number of views, as returned by a top-k query.
///
/// ```
/// use candle_core::Aggregator;
///
/// let aggregator = Aggregator::default();
/// for id in ["9", "10", "11"] {
///     aggregator.list(id, None)?;
/// }
/// aggregator.count_view("9");
/// assert_eq!(aggregator.top(2).iter().map(|popular| popular.id.as_str()).collect::<Vec<_>>(), ["9", "10"]);
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Popular {
    /// The id.
    pub id: InstrumentId,
    /// The number of views since the id was listed.
    pub views: u64,
}

/// The number of leaders after a cut. A top ten needs ten; the others are a reserve, so that over fifty leaders can be
/// removed before all counters must be read again.
pub(crate) const LEADERS: usize = 64;

/// The number of leaders at which the set is cut back to [`LEADERS`]. A cut reads every leader, so it runs once for
/// every 64 promotions.
const CAPACITY: usize = 2 * LEADERS;

/// A position in the order of popularity: more views first, ties by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) views: u64,
    pub(crate) id: InstrumentId,
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The best rank is the smallest.
impl Ord for Rank {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.views.cmp(&self.views).then_with(|| self.id.cmp(&other.id))
    }
}

/// The counters that the leader set reads, and the leader flag of each counter.
///
/// An implementation may lock its counters for the length of one method, or for one part after another. It must not lock
/// the leader set itself, because the caller holds that lock already.
pub(crate) trait Counters {
    /// Returns the rank of a listed id, or `None` if the id was removed.
    fn rank(&mut self, handle: Handle) -> Option<Rank>;

    /// Makes an id a leader if it is listed, is no leader yet and ranks before `floor`.
    fn promote(&mut self, handle: Handle, floor: Option<&Rank>) -> Promotion;

    /// Clears the leader flag of an id, unless the id ranks before `floor`.
    fn demote(&mut self, handle: Handle, floor: &Rank) -> Demotion;

    /// Sets the number of views from which on a counter that is no leader must be passed to [`Leaders::consider`].
    fn set_floor(&mut self, views: u64);

    /// Calls `each` with every id that has views and is no leader.
    fn for_each_outsider(&mut self, each: &mut dyn FnMut(Rank, Handle));
}

/// The result of [`Counters::promote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promotion {
    /// The id is a leader from now on.
    Promoted,
    /// The id was removed, is a leader already, or does not rank before the floor.
    Refused,
}

/// The result of [`Counters::demote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demotion {
    /// The id is no longer a leader.
    Demoted,
    /// The id rose above the floor after it was ranked, and remains a leader.
    Refused,
}

/// The leaders and the floor, the rank that an outsider must beat.
///
/// Invariant: every id with views that is no leader ranks after `floor`, and no listed leader ranks after `floor`. Views
/// only rise, so the invariant holds until an outsider reaches the floor. [`consider`](Self::consider) then promotes it.
///
/// The invariant also holds while other threads count:
/// - The floor rises only after every demoted id was compared with the new floor under the lock of its counter.
/// - The floor falls, in each part of the counters, before that part is read again.
/// - A thread that counts therefore compares with a floor that is at most the right one. At worst it calls
///   [`consider`](Self::consider) without effect.
/// - A [`Handle`] has a generation, so a view of a removed id changes nothing.
#[derive(Debug)]
pub(crate) struct Leaders {
    /// At most [`CAPACITY`] leaders, some of them removed since.
    members: Vec<Handle>,
    /// The ranks from the last call of [`rank_members`](Self::rank_members), best first. A field, so that ranking
    /// allocates nothing.
    ranked: Vec<(Rank, Handle)>,
    /// `None` while every id with views is a leader.
    floor: Option<Rank>,
}

impl Leaders {
    /// Bytes on the heap, which never grow.
    pub(crate) const BYTES: usize = CAPACITY * (size_of::<Handle>() + size_of::<(Rank, Handle)>());

    pub(crate) fn new() -> Self {
        Self { members: Vec::with_capacity(CAPACITY), ranked: Vec::with_capacity(CAPACITY), floor: None }
    }

    /// Promotes an id that reached the floor, if it still ranks before the floor.
    pub(crate) fn consider(&mut self, handle: Handle, counters: &mut impl Counters) {
        if counters.promote(handle, self.floor.as_ref()) == Promotion::Refused {
            return;
        }
        self.members.push(handle);
        while self.members.len() >= CAPACITY {
            self.cut_back(counters);
        }
    }

    /// Replaces the content of `top` by the `k` most viewed ids that have views, most views first, ties by id.
    pub(crate) fn top(&mut self, k: usize, counters: &mut impl Counters, top: &mut Vec<Popular>) {
        self.rank_members(counters);
        if self.ranked.len() < k && self.floor.is_some() {
            self.recruit(counters);
            self.rank_members(counters);
        }
        top.clear();
        let best = self.ranked.iter().take(k);
        top.extend(best.map(|(rank, _)| Popular { id: rank.id.clone(), views: rank.views }));
    }

    /// Reads the rank of every member, sorts the members by it and drops the members that were removed.
    fn rank_members(&mut self, counters: &mut impl Counters) {
        let ranked = &mut self.ranked;
        ranked.clear();
        ranked.extend(self.members.iter().filter_map(|member| counters.rank(*member).map(|rank| (rank, *member))));
        ranked.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.members.clear();
        self.members.extend(ranked.iter().map(|(_, member)| *member));
    }

    /// Demotes all but the best [`LEADERS`], and raises the floor to the rank of the last of them.
    fn cut_back(&mut self, counters: &mut impl Counters) {
        self.rank_members(counters);
        if let Some((floor, _)) = self.ranked.get(LEADERS - 1)
            && self.ranked.len() > LEADERS
        {
            self.members.truncate(LEADERS);
            for (_, member) in &self.ranked[LEADERS..] {
                match counters.demote(*member, floor) {
                    Demotion::Demoted => {}
                    Demotion::Refused => self.members.push(*member),
                }
            }
            self.floor = Some(floor.clone());
        }
        self.publish_floor(counters);
    }

    /// Promotes the best outsiders after many leaders were removed. Reads all counters: the only step whose cost grows
    /// with the number of ids.
    fn recruit(&mut self, counters: &mut impl Counters) {
        counters.set_floor(0);
        let outsiders = Outsiders::best_of(|each| counters.for_each_outsider(each));
        self.floor = outsiders.floor;
        for handle in outsiders.best {
            if counters.promote(handle, None) == Promotion::Promoted {
                self.members.push(handle);
            }
        }
        self.publish_floor(counters);
    }

    fn publish_floor(&self, counters: &mut impl Counters) {
        counters.set_floor(self.floor.as_ref().map_or(0, |floor| floor.views));
    }
}

/// The best [`LEADERS`] ids that are no leaders.
#[derive(Debug)]
struct Outsiders {
    best: Vec<Handle>,
    /// The rank of the last of `best`, or `None` if there are no other outsiders.
    floor: Option<Rank>,
}

impl Outsiders {
    /// Selects the best [`LEADERS`] of all ids that `scan` yields, in bounded memory.
    fn best_of(scan: impl FnOnce(&mut dyn FnMut(Rank, Handle))) -> Self {
        let mut ranked: Vec<(Rank, Handle)> = Vec::with_capacity(CAPACITY);
        let mut more = false;
        scan(&mut |rank, handle| {
            if ranked.len() == CAPACITY {
                ranked.select_nth_unstable_by(LEADERS, |a, b| a.0.cmp(&b.0));
                ranked.truncate(LEADERS);
                more = true;
            }
            ranked.push((rank, handle));
        });
        ranked.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        more |= ranked.len() > LEADERS;
        ranked.truncate(LEADERS);
        let floor = ranked.last().filter(|_| more).map(|(rank, _)| rank.clone());
        Self { best: ranked.into_iter().map(|(_, handle)| handle).collect(), floor }
    }
}

#[cfg(test)]
mod tests;
