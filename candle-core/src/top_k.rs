//! The few that can be among the top k, and the floor below which nobody is.

use crate::instrument::{Handle, InstrumentId};

/// How many leaders are kept when the set is cut back. Top tens need ten; the rest is slack, so that many leaders can
/// be delisted before all counters must be read again.
pub(crate) const LEADERS: usize = 64;

/// How many leaders there may be before the set is cut back to [`LEADERS`]: cutting reads all of them, so it is done
/// once in as many admissions as it drops.
const CAPACITY: usize = 2 * LEADERS;

/// An instrument's place in the order of popularity: more views first, ties by id.
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

/// The leaders: a superset of the top [`LEADERS`], known without looking at anyone else.
///
/// Invariant: whoever has views and is not a member ranks behind `floor`, and no living member ranks behind it. Views
/// only rise, so it holds until someone outside crosses the floor, and then that one is admitted.
#[derive(Debug)]
pub(crate) struct TopK {
    /// Members, living or delisted since; never more than [`CAPACITY`].
    members: Vec<Handle>,
    /// The members' ranks when last read, best first; scratch that is kept so that nothing is allocated.
    ranked: Vec<(Rank, Handle)>,
    /// The rank that one outside must beat; `None` while everyone with views is a member.
    floor: Option<Rank>,
}

impl TopK {
    /// Bytes of the members and of the scratch, which never grow.
    pub(crate) const BYTES: usize = CAPACITY * (size_of::<Handle>() + size_of::<(Rank, Handle)>());

    pub(crate) fn new() -> Self {
        Self { members: Vec::with_capacity(CAPACITY), ranked: Vec::with_capacity(CAPACITY), floor: None }
    }

    pub(crate) fn floor(&self) -> Option<&Rank> {
        self.floor.as_ref()
    }

    pub(crate) fn set_floor(&mut self, floor: Option<Rank>) {
        self.floor = floor;
    }

    /// Whether the set must be cut back before the next one is admitted.
    pub(crate) fn is_full(&self) -> bool {
        self.members.len() >= CAPACITY
    }

    pub(crate) fn push(&mut self, member: Handle) {
        self.members.push(member);
    }

    /// Reads every member's rank and drops those that have none; the living, best first.
    pub(crate) fn rank(&mut self, mut rank: impl FnMut(Handle) -> Option<Rank>) -> &[(Rank, Handle)] {
        let ranked = &mut self.ranked;
        ranked.clear();
        ranked.extend(self.members.iter().filter_map(|member| rank(*member).map(|rank| (rank, *member))));
        ranked.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.members.clear();
        self.members.extend(ranked.iter().map(|(_, member)| *member));
        ranked
    }

    /// The members as last ranked.
    pub(crate) fn ranked(&self) -> &[(Rank, Handle)] {
        &self.ranked
    }

    /// Cuts the set back to the best [`LEADERS`] as last ranked, the last of which becomes the floor. `leave` is asked of
    /// each of the others whether it goes; one whose views rose in the meantime may stay.
    pub(crate) fn cut(&mut self, mut leave: impl FnMut(Handle, &Rank) -> Leave) {
        let Some((floor, _)) = self.ranked.get(LEADERS - 1) else {
            return;
        };
        if self.ranked.len() > LEADERS {
            self.members.truncate(LEADERS);
            for (_, member) in &self.ranked[LEADERS..] {
                match leave(*member, floor) {
                    Leave::Gone => {}
                    Leave::Stays => self.members.push(*member),
                }
            }
            self.floor = Some(floor.clone());
        }
    }
}

/// The best of those outside, and what none of the others beats.
#[derive(Debug)]
pub(crate) struct Outsiders {
    pub(crate) best: Vec<Handle>,
    /// The rank of the last of `best`, if there were more.
    pub(crate) floor: Option<Rank>,
}

impl TopK {
    /// The best [`LEADERS`] of all that `scan` shows, in bounded memory.
    pub(crate) fn best_of(scan: impl FnOnce(&mut dyn FnMut(Rank, Handle))) -> Outsiders {
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
        Outsiders { best: ranked.into_iter().map(|(_, handle)| handle).collect(), floor }
    }
}

/// Whether a member that was to leave did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It is no longer a leader.
    Gone,
    /// It has risen above the floor since it was ranked.
    Stays,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_go_by_views_and_then_by_the_bytes_of_the_id() {
        let rank = |views, id: &str| Rank { views, id: InstrumentId::new(id).unwrap() };
        assert!(rank(2, "b") < rank(1, "a"));
        assert!(rank(1, "10") < rank(1, "9"));
        let mut ranks = [rank(1, "9"), rank(3, "z"), rank(1, "10")];
        ranks.sort();
        assert_eq!(ranks, [rank(3, "z"), rank(1, "10"), rank(1, "9")]);
    }
}
