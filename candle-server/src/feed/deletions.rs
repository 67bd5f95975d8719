//! Instruments that were deleted a moment ago, whose last quotes may still be under way.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::expiring::{MAX_WAITING, PATIENCE};

/// Ids deleted within the last [`PATIENCE`]: their quotes do not wait for an `ADD`. Bounded like the quotes that do.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    latest: HashMap<String, Duration>,
    /// Oldest first; an entry counts only while it is the id's latest.
    queue: VecDeque<(Duration, String)>,
}

impl Deletions {
    /// Notes that `id` was deleted at `now`.
    pub(super) fn note(&mut self, id: &str, now: Duration) {
        if self.queue.len() == MAX_WAITING {
            self.pop();
        }
        self.latest.insert(id.to_owned(), now);
        self.queue.push_back((now, id.to_owned()));
    }

    /// Forgets that `id` was deleted: it was added again.
    pub(super) fn revoke(&mut self, id: &str) {
        self.latest.remove(id);
    }

    /// Whether `id` was deleted at `now` or up to [`PATIENCE`] before.
    pub(super) fn contains(&mut self, id: &str, now: Duration) -> bool {
        while self.queue.front().is_some_and(|(when, _)| *when + PATIENCE < now) {
            self.pop();
        }
        self.latest.contains_key(id)
    }

    fn pop(&mut self) {
        if let Some((when, id)) = self.queue.pop_front()
            && self.latest.get(&id) == Some(&when)
        {
            self.latest.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_is_remembered_for_two_seconds_unless_revoked() {
        let at = Duration::from_secs;
        let mut deletions = Deletions::default();
        deletions.note("a", at(0));
        deletions.note("b", at(0));
        deletions.revoke("b");
        assert!(deletions.contains("a", at(2)) && !deletions.contains("b", at(2)));
        deletions.note("a", at(2));
        assert!(deletions.contains("a", at(4)));
        assert!(!deletions.contains("a", at(5)));
        assert!(deletions.latest.is_empty() && deletions.queue.is_empty());
    }
}
