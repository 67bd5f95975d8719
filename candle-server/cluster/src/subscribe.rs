//! Reads the messages of a stream in order, and reconnects after a lost connection.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use crate::broker::{Broker, BrokerError, Consumer, StoredMessage, StreamInfo};
use crate::retry::retry;

/// The most messages that are buffered for the subscriber.
const BUFFERED_MESSAGES: usize = 16;

/// The timeout for creating a consumer. While the brokers have no leader, they create no consumer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The number of attempts without a message after which the cause is logged.
///
/// The attempts take more than 10 s. The brokers elect a leader in less time, so an election is not logged.
const WARN_AFTER_ATTEMPTS: u32 = 50;

/// An event of a stream.
#[derive(Debug)]
pub(crate) enum Event {
    /// The next message of the stream.
    Message(StoredMessage),
    /// The stream has no further message at present. The value is the last sequence of the stream.
    End(u64),
    /// The stream was deleted. The value is the reason. Another stream can have the same name.
    Gone(String),
}

/// The identity of a stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamId {
    pub(crate) name: String,
    /// The time at which the stream was created, in nanoseconds since the epoch.
    pub(crate) created: i128,
}

/// Starts a task that reads a stream from the sequence `next` on, and returns the receiver of its events.
///
/// The task ends when the receiver is dropped. Each message is sent once and in order. If sequences are missing, the
/// stream itself does not have these messages.
pub(crate) fn subscribe<B: Broker>(broker: B, stream: StreamId, next: u64) -> Receiver<Event> {
    let (sender, receiver) = channel(BUFFERED_MESSAGES);
    let next = next.max(1);
    let subscription = Subscription { broker, stream, next, sender, failures: 0, failing_from: next };
    tokio::spawn(retry(RETRY_PAUSE, subscription, Subscription::attempt));
    receiver
}

struct Subscription<B> {
    broker: B,
    stream: StreamId,
    /// The sequence of the next message.
    next: u64,
    sender: Sender<Event>,
    /// The number of failed attempts since the last received message.
    failures: u32,
    /// The sequence of the next message when the attempts began to fail.
    failing_from: u64,
}

impl<B: Broker> Subscription<B> {
    /// Reads until the consumer is lost. Returns [`ControlFlow::Break`] if the subscription has ended.
    async fn attempt(mut self) -> ControlFlow<(), Self> {
        let sender = self.sender.clone();
        let error = tokio::select! {
            Err(error) = self.read() => error,
            () = sender.closed() => return ControlFlow::Break(()),
        };
        let stream = &self.stream.name;
        tracing::debug!(stream, "the subscription restarts: {error}");
        self.failures = if self.failing_from == self.next { self.failures.saturating_add(1) } else { 1 };
        self.failing_from = self.next;
        if self.failures == WARN_AFTER_ATTEMPTS {
            tracing::warn!(stream, next = self.next, "can't read the stream: {error}");
        }
        if let BrokerError::Unusable(reason) = error {
            // The send fails only if the receiver was dropped.
            let _ = sender.send(Event::Gone(reason)).await;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(self)
    }

    /// Reads with one consumer until it is lost.
    async fn read(&mut self) -> Result<Infallible, BrokerError> {
        let no_receiver = |_| BrokerError::unavailable("the receiver is gone");
        let opened = timeout(OPEN_TIMEOUT, self.open()).await;
        let (mut consumer, last, end) = opened.map_err(|_| BrokerError::unavailable("no consumer"))??;
        if let Some(end) = end {
            self.sender.send(Event::End(end)).await.map_err(no_receiver)?;
        }
        let mut position = 0;
        loop {
            // If a heartbeat is missing, the stream yields an error.
            let delivered = consumer.messages.next().await;
            let delivered = delivered.ok_or_else(|| BrokerError::unavailable("the consumer is gone"))??;
            position += 1;
            if delivered.position != position {
                // A connection was lost while messages were in flight, for example because this process read too
                // slowly.
                return Err(BrokerError::unavailable("messages were lost on the way"));
            }
            let StoredMessage { sequence, payload, pending } = delivered.message;
            if sequence < self.next {
                continue;
            }
            self.next = sequence + 1;
            // The broker of the consumer can be behind the leader, so the leader may have more pending messages.
            let pending = pending.max(last.saturating_sub(sequence));
            let message = StoredMessage { sequence, payload, pending };
            self.sender.send(Event::Message(message)).await.map_err(no_receiver)?;
        }
    }

    /// Creates a consumer. Returns the consumer, the last sequence of the stream, and the end of the stream if no
    /// message is pending.
    async fn open(&self) -> Result<(Consumer, u64, Option<u64>), BrokerError> {
        let StreamId { name, created } = &self.stream;
        let info = self.broker.info(name).await.map_err(BrokerError::unavailable)?;
        let info = info.ok_or_else(|| BrokerError::Unusable(format!("the stream {name} was deleted")))?;
        if info.created != *created {
            return Err(BrokerError::Unusable(format!("the stream {name} was deleted and created again")));
        }
        check_not_truncated(name, info.last_sequence, self.next - 1)?;
        let consumer = self.broker.consume(name, self.next).await?;
        let end = end(info, self.next, consumer.pending)?;
        Ok((consumer, info.last_sequence, end))
    }
}

/// Checks that a stream with the last sequence `last` still has the message `known`, which was read before.
///
/// # Errors
/// An error if the stream ends before `known`. Either a new leader of the brokers is behind, or the brokers lost stored
/// messages. After such a loss, later messages would not continue the messages that were read.
pub(crate) fn check_not_truncated(stream: &str, last: u64, known: u64) -> Result<(), BrokerError> {
    if last >= known {
        return Ok(());
    }
    Err(BrokerError::Unavailable(format!(
        "the stream {stream} ends at message {last} and had {known}; if this persists, the brokers lost stored messages: \
         delete the stream, and a gateway creates it again"
    )))
}

/// Returns the last sequence of the stream if a consumer that starts at `next` has no pending message.
///
/// # Errors
/// An error if the leader has a message for the consumer, because the broker of the consumer is behind.
fn end(leader: StreamInfo, next: u64, pending: u64) -> Result<Option<u64>, BrokerError> {
    if pending > 0 {
        return Ok(None);
    }
    if leader.last_sequence >= next.max(leader.first_sequence) {
        return Err(BrokerError::unavailable("the broker of the consumer lags behind the leader"));
    }
    Ok(Some(leader.last_sequence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::memory::{CREATED, MemoryBroker};

    #[test]
    fn a_stream_that_became_shorter_is_not_read() {
        let check = |last, known| check_not_truncated("X", last, known);
        assert!(check(9, 9).is_ok() && check(9, 0).is_ok() && check(0, 0).is_ok());
        let line = check(8, 9).unwrap_err().to_string();
        assert!(line.contains("X ends at message 8 and had 9"), "{line}");
    }

    #[test]
    fn the_end_of_a_broker_that_lags_behind_is_not_the_end_of_the_stream() {
        let end = |first_sequence, last_sequence, next, pending| {
            end(StreamInfo { created: 0, first_sequence, last_sequence }, next, pending).ok()
        };
        assert_eq!(end(1, 9, 5, 5), Some(None));
        assert_eq!(end(1, 9, 10, 0), Some(Some(9)));
        assert_eq!([end(1, 9, 9, 0), end(9, 9, 1, 0)], [None; 2]);
        // The first case is a new stream, and the second case is a stream that was emptied.
        assert_eq!([end(0, 0, 1, 0), end(10, 9, 1, 0)], [Some(Some(0)), Some(Some(9))]);
    }

    fn publish(broker: &MemoryBroker, text: &'static str) {
        broker.publish_now("TEST.writes".to_owned(), text, None, text.into());
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_delivers_every_message_once_and_in_order() {
        let broker = MemoryBroker::default();
        let stream = StreamId { name: "TEST".to_owned(), created: CREATED };
        let mut events = subscribe(broker.clone(), stream, 1);
        assert!(matches!(events.recv().await, Some(Event::End(0))));
        ["a", "b", "c"].into_iter().for_each(|text| publish(&broker, text));
        for (sequence, text) in [(1, "a"), (2, "b"), (3, "c")] {
            let Some(Event::Message(message)) = events.recv().await else { panic!("no message {sequence}") };
            assert_eq!(
                (message.sequence, &*message.payload, message.pending),
                (sequence, text.as_bytes(), 3 - sequence)
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_to_a_stream_that_was_created_again_ends() {
        let stream = StreamId { name: "TEST".to_owned(), created: CREATED - 1 };
        let mut events = subscribe(MemoryBroker::default(), stream, 1);
        assert!(matches!(events.recv().await, Some(Event::Gone(_))));
        assert!(events.recv().await.is_none());
    }
}
