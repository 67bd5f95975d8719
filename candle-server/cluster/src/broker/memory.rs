//! An in-memory broker for tests, with the guarantees of NATS JetStream. Tests can make its connections lose answers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant, sleep};

use super::{Broker, BrokerError, Consumer, Delivered, PublishResult, StoredMessage, StreamInfo, StreamOptions};

/// The time after which a client notices that its frozen connection is lost.
pub(crate) const LOSS_NOTICED_AFTER: Duration = Duration::from_secs(4);

/// The time at which both streams were created, in nanoseconds since the epoch.
pub(crate) const CREATED: i128 = 1_700_000_000_000_000_000;

/// The interval at which a consumer checks for the next message.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A connection to an in-memory broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryBroker {
    storage: Arc<Mutex<Storage>>,
    connection: Arc<Mutex<Connection>>,
}

#[derive(Debug, Default)]
struct Storage {
    /// The subjects and payloads of the messages of the log. The sequence of a message is its index plus 1.
    messages: Vec<(String, Bytes)>,
    /// The number of deleted messages. The oldest messages are deleted first.
    purged: usize,
    ids: HashMap<String, u64>,
    /// By subject: the newest snapshot and its sequence.
    snapshots: BTreeMap<String, (u64, Bytes)>,
    /// The number of all snapshots that were stored, including replaced ones.
    snapshot_count: u64,
}

#[derive(Debug)]
struct SentMessage {
    subject: String,
    id: String,
    expected: Option<u64>,
    payload: Bytes,
}

/// The state of a connection.
#[derive(Debug, Default)]
enum Connection {
    #[default]
    Open,
    /// The broker stores messages, but its answers are lost.
    Deaf,
    /// The broker rejects messages, as it does while it still processes an earlier attempt.
    Busy,
    /// The broker receives messages only when the connection is opened again.
    Frozen { since: Instant, late: Vec<SentMessage> },
}

impl Storage {
    fn last_of(&self, subject: &str) -> u64 {
        let index = self.messages[self.purged..].iter().rposition(|(of, _)| of == subject);
        index.map_or(0, |index| (self.purged + index + 1) as u64)
    }

    fn store(&mut self, publication: SentMessage) -> PublishResult {
        if let Some(sequence) = self.ids.get(&publication.id) {
            return PublishResult::Stored(*sequence);
        }
        if publication.expected.is_some_and(|expected| expected != self.last_of(&publication.subject)) {
            return PublishResult::Rejected;
        }
        let sequence = if publication.subject.contains(".checkpoint.") {
            self.snapshot_count += 1;
            self.snapshots.insert(publication.subject, (self.snapshot_count, publication.payload));
            self.snapshot_count
        } else {
            self.messages.push((publication.subject, publication.payload));
            self.messages.len() as u64
        };
        self.ids.insert(publication.id, sequence);
        PublishResult::Stored(sequence)
    }

    /// Returns the first message of the log with this sequence or a higher one.
    fn next_message(&self, sequence: u64) -> Option<(u64, Bytes)> {
        let index = self.purged.max(usize::try_from(sequence.saturating_sub(1)).ok()?);
        self.messages.get(index).map(|(_, payload)| (index as u64 + 1, payload.clone()))
    }

    /// Returns the first snapshot with this sequence or a higher one.
    fn next_snapshot(&self, sequence: u64) -> Option<(u64, Bytes)> {
        self.snapshots.values().filter(|(stored, _)| *stored >= sequence).min_by_key(|(stored, _)| *stored).cloned()
    }
}

impl MemoryBroker {
    /// Opens another connection to the same broker.
    pub(crate) fn reconnected(&self) -> Self {
        Self { storage: Arc::clone(&self.storage), connection: Arc::default() }
    }

    pub(crate) fn deafen(&self) {
        *self.connection.lock() = Connection::Deaf;
    }

    pub(crate) fn keep_busy(&self) {
        *self.connection.lock() = Connection::Busy;
    }

    pub(crate) fn freeze(&self) {
        *self.connection.lock() = Connection::Frozen { since: Instant::now(), late: Vec::new() };
    }

    pub(crate) fn is_frozen(&self) -> bool {
        matches!(*self.connection.lock(), Connection::Frozen { .. })
    }

    /// Opens the connection again. Delivers the messages that were published while the connection was frozen.
    pub(crate) fn thaw(&self) {
        if let Connection::Frozen { late, .. } = std::mem::take(&mut *self.connection.lock()) {
            for publication in late {
                self.storage.lock().store(publication);
            }
        }
    }

    /// Deletes all messages of the log.
    pub(crate) fn purge(&self) {
        let mut storage = self.storage.lock();
        storage.purged = storage.messages.len();
    }

    /// Returns the number of all snapshots that were stored, including replaced ones.
    pub(crate) fn snapshot_count(&self) -> u64 {
        self.storage.lock().snapshot_count
    }

    /// Returns the number of stripes that have a snapshot.
    pub(crate) fn stripe_count(&self) -> usize {
        self.storage.lock().snapshots.len()
    }

    /// Returns the sequence of the last message, even if it is deleted.
    pub(crate) fn end(&self) -> u64 {
        self.storage.lock().messages.len() as u64
    }

    /// Returns the first message of the log with this sequence or a higher one, together with its own sequence.
    pub(crate) fn next(&self, sequence: u64) -> Option<(u64, Bytes)> {
        self.storage.lock().next_message(sequence)
    }

    /// Publishes a message like [`Broker::publish`], but synchronously.
    pub(crate) fn publish_now(
        &self,
        subject: String,
        id: &str,
        expected: Option<u64>,
        payload: Bytes,
    ) -> PublishResult {
        let publication = SentMessage { subject, id: id.to_owned(), expected, payload };
        match &mut *self.connection.lock() {
            Connection::Open => self.storage.lock().store(publication),
            Connection::Deaf => {
                self.storage.lock().store(publication);
                PublishResult::Unknown
            }
            Connection::Busy => PublishResult::Rejected,
            Connection::Frozen { late, .. } => {
                late.push(publication);
                PublishResult::Unknown
            }
        }
    }

    /// Checks that the connection delivers answers.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`] if it does not.
    fn check_answers(&self) -> Result<(), BrokerError> {
        match *self.connection.lock() {
            Connection::Open | Connection::Busy => Ok(()),
            Connection::Deaf | Connection::Frozen { .. } => Err(BrokerError::unavailable("no answer arrives")),
        }
    }

    /// Returns the first message of a stream with this sequence or a higher one.
    fn next_of(&self, stream: &str, sequence: u64) -> Option<StoredMessage> {
        let storage = self.storage.lock();
        let is_log = stream == self.log_name();
        let next = if is_log { storage.next_message(sequence) } else { storage.next_snapshot(sequence) };
        let (sequence, payload) = next?;
        let pending = if is_log {
            storage.messages.len() as u64 - sequence
        } else {
            storage.snapshots.values().filter(|(stored, _)| *stored > sequence).count() as u64
        };
        Some(StoredMessage { sequence, payload, pending })
    }
}

impl fmt::Display for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

impl Broker for MemoryBroker {
    type Address = Self;

    async fn connect(address: &Self) -> Result<Self, BrokerError> {
        Ok(address.clone())
    }

    fn is_connected(&self) -> bool {
        !matches!(*self.connection.lock(), Connection::Frozen { since, .. } if since.elapsed() >= LOSS_NOTICED_AFTER)
    }

    fn log_name(&self) -> &'static str {
        "TEST"
    }

    fn max_message_bytes(&self) -> usize {
        1 << 20
    }

    async fn prepare(&self, _: &StreamOptions) -> Result<(), BrokerError> {
        self.check_answers()
    }

    async fn info(&self, stream: &str) -> Result<Option<StreamInfo>, BrokerError> {
        self.check_answers()?;
        let storage = self.storage.lock();
        let (first, last) = if stream == self.log_name() {
            (storage.purged as u64 + 1, storage.messages.len() as u64)
        } else {
            let oldest = storage.next_snapshot(0).map_or(0, |(sequence, _)| sequence);
            (oldest, storage.snapshot_count)
        };
        Ok(Some(StreamInfo { created: CREATED, first_sequence: first, last_sequence: last }))
    }

    async fn publish(&self, subject: String, id: &str, expected: Option<u64>, payload: Bytes) -> PublishResult {
        self.publish_now(subject, id, expected, payload)
    }

    async fn last_writes(&self) -> Result<Option<(u64, Bytes)>, BrokerError> {
        self.check_answers()?;
        let storage = self.storage.lock();
        let index = usize::try_from(storage.last_of(&self.writes_subject())).unwrap().checked_sub(1);
        Ok(index.map(|index| (index as u64 + 1, storage.messages[index].1.clone())))
    }

    async fn consume(&self, stream: &str, next: u64) -> Result<Consumer, BrokerError> {
        self.check_answers()?;
        let pending = self.next_of(stream, next).map_or(0, |message| message.pending + 1);
        let (broker, stream) = (self.clone(), stream.to_owned());
        let messages = futures_util::stream::unfold((next, 0), move |(next, position)| {
            let (broker, stream) = (broker.clone(), stream.clone());
            async move {
                let message = loop {
                    if !broker.is_frozen()
                        && let Some(message) = broker.next_of(&stream, next)
                    {
                        break message;
                    }
                    sleep(POLL_INTERVAL).await;
                };
                let (next, position) = (message.sequence + 1, position + 1);
                Some((Ok(Delivered { position, message }), (next, position)))
            }
        });
        Ok(Consumer { pending, messages: messages.boxed() })
    }
}
