//! A queue of values that expire after a fixed time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// The maximum number of entries: 100,000, one second at the maximum rate. A further entry evicts the oldest entry.
pub(super) const MAX_ENTRIES: usize = 100_000;

/// A queue of values with instrument ids. Each value has an arrival time, the time at which the value was added.
///
/// The number of values is limited. [`expired`](Self::expired) removes values that are too old.
#[derive(Debug)]
pub(super) struct ExpiringQueue<T> {
    timeout: Duration,
    /// The values of each id in order of arrival. No list is empty.
    values: HashMap<String, VecDeque<(Duration, T)>>,
    /// The arrival time and id of each value, oldest first. Entries of removed values stay here until they expire.
    order: VecDeque<(Duration, String)>,
}

impl<T> ExpiringQueue<T> {
    /// Creates an empty queue. Its entries expire `timeout` after their arrival.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, values: HashMap::new(), order: VecDeque::new() }
    }

    /// Adds a value that arrived at `now`. If the queue was full, removes and returns the oldest value.
    pub(super) fn push(&mut self, id: &str, value: T, now: Duration) -> Option<(String, T)> {
        let evicted = if self.order.len() == MAX_ENTRIES { self.pop_entry() } else { None };
        self.values.entry(id.to_owned()).or_default().push_back((now, value));
        self.order.push_back((now, id.to_owned()));
        evicted
    }

    /// Removes and returns the values of `id` in order of arrival.
    pub(super) fn remove(&mut self, id: &str) -> impl Iterator<Item = T> + use<T> {
        self.values.remove(id).unwrap_or_default().into_iter().map(|(_, value)| value)
    }

    /// Returns true if there is a value of `id`.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.values.contains_key(id)
    }

    /// Removes and returns the oldest value that has expired by `now`.
    pub(super) fn expired(&mut self, now: Duration) -> Option<(String, T)> {
        while self.deadline()? <= now {
            if let Some(expired) = self.pop_entry() {
                return Some(expired);
            }
        }
        None
    }

    /// Removes and returns the oldest value.
    pub(super) fn pop(&mut self) -> Option<(String, T)> {
        while !self.order.is_empty() {
            if let Some(oldest) = self.pop_entry() {
                return Some(oldest);
            }
        }
        None
    }

    /// Returns the time at which the oldest entry expires.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.order.front().map(|(arrival, _)| *arrival + self.timeout)
    }

    /// Removes the oldest entry, and returns its value unless the value was removed before.
    fn pop_entry(&mut self) -> Option<(String, T)> {
        let (arrival, id) = self.order.pop_front()?;
        let values = self.values.get_mut(&id)?;
        let (_, value) = values.pop_front_if(|(first, _)| *first == arrival)?;
        if values.is_empty() {
            self.values.remove(&id);
        }
        Some((id, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn queue() -> ExpiringQueue<usize> {
        ExpiringQueue::new(TIMEOUT)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_value_leaves_once_and_in_order() {
        let mut queue = queue();
        for (id, value) in [("a", 1), ("b", 2), ("a", 3)] {
            assert_eq!(queue.push(id, value, at(0)), None);
        }
        assert_eq!(queue.remove("a").collect::<Vec<_>>(), [1, 3]);
        assert_eq!(queue.expired(at(1)), None);
        assert_eq!(queue.expired(at(2)), Some(("b".into(), 2)));
        assert_eq!(queue.expired(at(2)), None);
        assert_eq!(queue.deadline(), None);
    }

    #[test]
    fn a_value_added_after_a_removal_expires_at_its_own_time() {
        let mut queue = queue();
        assert_eq!(queue.push("a", 1, at(0)), None);
        assert_eq!(queue.remove("a").count(), 1);
        assert_eq!(queue.push("a", 2, at(1)), None);
        assert_eq!(queue.expired(at(2)), None);
        assert_eq!(queue.expired(at(3)), Some(("a".into(), 2)));
    }

    #[test]
    fn a_full_queue_evicts_its_oldest_value() {
        let mut queue = queue();
        for number in 0..MAX_ENTRIES {
            assert_eq!(queue.push("a", number, at(0)), None);
        }
        assert_eq!(queue.push("b", MAX_ENTRIES, at(1)), Some(("a".into(), 0)));
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), MAX_ENTRIES);
    }

    #[test]
    fn an_id_is_contained_until_its_latest_value_has_expired() {
        let mut queue = queue();
        queue.push("a", 1, at(0));
        queue.push("b", 1, at(0));
        assert_eq!(queue.remove("b").count(), 1);
        assert!(queue.contains("a") && !queue.contains("b"));
        queue.push("a", 2, at(1));
        while queue.expired(at(2)).is_some() {}
        assert!(queue.contains("a"));
        while queue.expired(at(3)).is_some() {}
        assert!(!queue.contains("a") && queue.deadline().is_none());
    }
}
