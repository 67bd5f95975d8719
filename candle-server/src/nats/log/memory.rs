//! A log in memory that keeps the broker's promises, and the ways to it on which answers get lost: for tests.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

use super::Sent;

/// After how long a connection on which no answer comes is known to be lost.
pub(in crate::nats) const NOTICED: Duration = Duration::from_secs(4);

/// One way to a log that others reach by ways of their own.
#[derive(Clone, Debug, Default)]
pub(in crate::nats) struct Memory {
    kept: Arc<Mutex<Kept>>,
    way: Arc<Mutex<Way>>,
}

#[derive(Debug, Default)]
struct Kept {
    messages: Vec<(String, Bytes)>,
    /// How many of the first ones are gone.
    purged: usize,
    ids: HashMap<String, u64>,
    snapshots: u64,
    /// The subjects of those.
    stripes: HashSet<String>,
}

#[derive(Debug)]
struct Message {
    subject: String,
    id: String,
    expected: Option<u64>,
    bytes: Bytes,
}

/// What becomes of what is said.
#[derive(Debug, Default)]
enum Way {
    #[default]
    Open,
    /// It arrives, and no answer does.
    Deaf,
    /// It is refused, as while an earlier try is under way between the brokers.
    Busy,
    /// It arrives when this thaws, long after anyone waits for an answer.
    Frozen { since: Instant, late: Vec<Message> },
}

impl Kept {
    fn last_of(&self, subject: &str) -> u64 {
        let place = self.messages[self.purged..].iter().rposition(|(of, _)| of == subject);
        place.map_or(0, |place| (self.purged + place + 1) as u64)
    }

    fn store(&mut self, message: Message) -> Sent {
        if let Some(sequence) = self.ids.get(&message.id) {
            return Sent::Stored(*sequence);
        }
        if message.expected.is_some_and(|expected| expected != self.last_of(&message.subject)) {
            return Sent::Refused;
        }
        let sequence = if message.subject.contains(".checkpoint.") {
            // Another stream, which nobody reads here.
            self.snapshots += 1;
            self.stripes.insert(message.subject);
            self.snapshots
        } else {
            self.messages.push((message.subject, message.bytes));
            self.messages.len() as u64
        };
        self.ids.insert(message.id, sequence);
        Sent::Stored(sequence)
    }
}

impl Memory {
    /// Another way to the same log.
    pub(in crate::nats) fn another_way(&self) -> Self {
        Self { kept: Arc::clone(&self.kept), way: Arc::default() }
    }

    pub(in crate::nats) fn deafen(&self) {
        *self.way.lock() = Way::Deaf;
    }

    pub(in crate::nats) fn keep_busy(&self) {
        *self.way.lock() = Way::Busy;
    }

    pub(in crate::nats) fn freeze(&self) {
        *self.way.lock() = Way::Frozen { since: Instant::now(), late: Vec::new() };
    }

    pub(in crate::nats) fn is_frozen(&self) -> bool {
        matches!(*self.way.lock(), Way::Frozen { .. })
    }

    /// As [`super::Log::is_connected`].
    pub(in crate::nats) fn is_connected(&self) -> bool {
        !matches!(*self.way.lock(), Way::Frozen { since, .. } if since.elapsed() >= NOTICED)
    }

    /// Opens the way; what was said on it arrives now.
    pub(in crate::nats) fn thaw(&self) {
        if let Way::Frozen { late, .. } = std::mem::take(&mut *self.way.lock()) {
            for message in late {
                self.kept.lock().store(message);
            }
        }
    }

    /// Empties the log.
    pub(in crate::nats) fn purge(&self) {
        let mut kept = self.kept.lock();
        kept.purged = kept.messages.len();
    }

    /// How many snapshots were ever stored.
    pub(in crate::nats) fn snapshots(&self) -> u64 {
        self.kept.lock().snapshots
    }

    /// Of how many stripes there is one.
    pub(in crate::nats) fn stripes(&self) -> usize {
        self.kept.lock().stripes.len()
    }

    /// The place of the last message, whether it is there still or not.
    pub(in crate::nats) fn end(&self) -> u64 {
        self.kept.lock().messages.len() as u64
    }

    /// The first message that is there at `sequence` or behind it, and its place.
    pub(in crate::nats) fn next(&self, sequence: u64) -> Option<(u64, Bytes)> {
        let kept = self.kept.lock();
        let place = kept.purged.max(usize::try_from(sequence.saturating_sub(1)).ok()?);
        kept.messages.get(place).map(|(_, bytes)| (place as u64 + 1, bytes.clone()))
    }

    /// As [`super::Log::send`].
    pub(in crate::nats) fn send(&self, subject: String, id: &str, expected: Option<u64>, bytes: Bytes) -> Sent {
        let message = Message { subject, id: id.to_owned(), expected, bytes };
        match &mut *self.way.lock() {
            Way::Open => self.kept.lock().store(message),
            Way::Deaf => {
                self.kept.lock().store(message);
                Sent::Unknown
            }
            Way::Busy => Sent::Refused,
            Way::Frozen { late, .. } => {
                late.push(message);
                Sent::Unknown
            }
        }
    }

    /// The last message of `subject`, unless no answer arrives.
    pub(super) fn last(&self, subject: &str) -> Result<Option<(u64, Bytes)>, super::LogError> {
        if !matches!(*self.way.lock(), Way::Open | Way::Busy) {
            return Err(super::away("no answer arrives"));
        }
        let kept = self.kept.lock();
        let place = usize::try_from(kept.last_of(subject)).unwrap().checked_sub(1);
        Ok(place.map(|place| (place as u64 + 1, kept.messages[place].1.clone())))
    }
}
