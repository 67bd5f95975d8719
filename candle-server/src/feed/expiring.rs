//! Quotes that came before their instrument was announced.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use candle_core::Tick;

/// How long a quote waits for its `ADD`.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How many quotes wait at most: a second of the full load. Over it the oldest is given up.
pub(super) const MAX_WAITING: usize = 100_000;

/// Quotes by the instrument they wait for, bounded in number and time.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Each id's quotes in order of arrival; no entry is empty.
    quotes: HashMap<String, VecDeque<(Duration, Tick)>>,
    /// Since when which id has a quote waiting, oldest first. The entries of quotes that were released stay until they
    /// are due; at most [`MAX_WAITING`].
    queue: VecDeque<(Duration, String)>,
}

impl Waiting {
    /// Lets a quote wait from `now` on. Returns the one that is given up for it, if there is no room.
    pub(super) fn hold(&mut self, id: &str, tick: Tick, now: Duration) -> Option<(String, Tick)> {
        let given_up = if self.queue.len() == MAX_WAITING { self.pop() } else { None };
        self.quotes.entry(id.to_owned()).or_default().push_back((now, tick));
        self.queue.push_back((now, id.to_owned()));
        given_up
    }

    /// The quotes that waited for `id`, in their order.
    pub(super) fn release(&mut self, id: &str) -> impl Iterator<Item = Tick> + use<> {
        self.quotes.remove(id).unwrap_or_default().into_iter().map(|(_, tick)| tick)
    }

    /// The oldest quote, if it has waited for [`PATIENCE`] at `now`.
    pub(super) fn expired(&mut self, now: Duration) -> Option<(String, Tick)> {
        while self.deadline()? <= now {
            if let Some(expired) = self.pop() {
                return Some(expired);
            }
        }
        None
    }

    /// Any quote, until there is none.
    pub(super) fn given_up(&mut self) -> Option<(String, Tick)> {
        while !self.queue.is_empty() {
            if let Some(given_up) = self.pop() {
                return Some(given_up);
            }
        }
        None
    }

    /// When the oldest entry is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.queue.front().map(|(since, _)| *since + PATIENCE)
    }

    /// Takes the oldest entry, and its quote if that was not released.
    fn pop(&mut self) -> Option<(String, Tick)> {
        let (since, id) = self.queue.pop_front()?;
        let quotes = self.quotes.get_mut(&id)?;
        let (_, tick) = quotes.pop_front_if(|(first, _)| *first == since)?;
        if quotes.is_empty() {
            self.quotes.remove(&id);
        }
        Some((id, tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Timestamp;

    fn tick(price: f64) -> Tick {
        Tick::new(Timestamp::EPOCH, price)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn quotes_leave_in_order_and_once() {
        let mut waiting = Waiting::default();
        for (id, price) in [("a", 1.0), ("b", 2.0), ("a", 3.0)] {
            assert_eq!(waiting.hold(id, tick(price), at(0)), None);
        }
        assert_eq!(waiting.release("a").map(|tick| tick.price).collect::<Vec<_>>(), [1.0, 3.0]);
        assert_eq!(waiting.expired(at(1)), None);
        assert_eq!(waiting.expired(at(2)), Some(("b".into(), tick(2.0))));
        assert_eq!(waiting.expired(at(2)), None);
        assert_eq!(waiting.deadline(), None);
    }

    #[test]
    fn a_quote_that_waits_again_is_not_taken_for_the_one_released() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.hold("a", tick(1.0), at(0)), None);
        assert_eq!(waiting.release("a").count(), 1);
        assert_eq!(waiting.hold("a", tick(2.0), at(1)), None);
        assert_eq!(waiting.expired(at(2)), None);
        assert_eq!(waiting.expired(at(3)), Some(("a".into(), tick(2.0))));
    }

    #[test]
    fn the_oldest_is_given_up_where_there_is_no_room() {
        let mut waiting = Waiting::default();
        for number in 0..MAX_WAITING {
            assert_eq!(waiting.hold("a", tick(number as f64), at(0)), None);
        }
        assert_eq!(waiting.hold("b", tick(0.5), at(1)), Some(("a".into(), tick(0.0))));
        assert_eq!(std::iter::from_fn(|| waiting.given_up()).count(), MAX_WAITING);
    }
}
