//! The broker that stores a log, as a trait: NATS JetStream in production, memory in tests.

#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod nats;
mod streams;

use std::fmt;
use std::future::Future;

use bytes::Bytes;
use futures_util::stream::BoxStream;

pub use streams::StreamOptions;

/// A connection to the broker of one log.
///
/// The log is one stream with two subjects: writes of gateways and views of read nodes. Checkpoints are a second
/// stream.
pub(crate) trait Broker: Clone + fmt::Debug + Send + Sync + 'static {
    /// The servers of the broker and the credentials for them.
    type Address: Clone + fmt::Debug + fmt::Display + Send + Sync;

    /// Connects to any server of the broker.
    fn connect(address: &Self::Address) -> impl Future<Output = Result<Self, BrokerError>> + Send;

    /// Returns true while the connection is open. A client without a connection queues messages and sends all of them
    /// when it reconnects.
    fn is_connected(&self) -> bool;

    /// The name of the log, which is also the name of its stream.
    fn log_name(&self) -> &str;

    /// The longest message that the broker stores, in bytes.
    fn max_message_bytes(&self) -> usize;

    /// Creates both streams. A stream that exists already is only compared with `options`.
    fn prepare(&self, options: &StreamOptions) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Returns the state of a stream, or `None` if there is no stream of this name.
    fn info(&self, stream: &str) -> impl Future<Output = Result<Option<StreamInfo>, BrokerError>> + Send;

    /// Sends a message once. Of several messages with the same `id` the broker stores one.
    ///
    /// With `expected` the broker stores the message only if the last message of `subject` has this sequence.
    fn publish(
        &self,
        subject: String,
        id: &str,
        expected: Option<u64>,
        payload: Bytes,
    ) -> impl Future<Output = PublishResult> + Send;

    /// Returns the last message of the writes subject and its sequence, as the leader of the stream has them.
    fn last_writes(&self) -> impl Future<Output = Result<Option<(u64, Bytes)>, BrokerError>> + Send;

    /// Opens a consumer that delivers the messages of a stream in order, from the sequence `next` on.
    fn consume(&self, stream: &str, next: u64) -> impl Future<Output = Result<Consumer, BrokerError>> + Send;

    /// The name of the stream of checkpoints.
    fn checkpoint_stream(&self) -> String {
        format!("{}_CHECKPOINT", self.log_name())
    }

    /// The subject of the writes of gateways.
    fn writes_subject(&self) -> String {
        format!("{}.writes", self.log_name())
    }

    /// The subject of the views of read nodes.
    fn views_subject(&self) -> String {
        format!("{}.views", self.log_name())
    }

    /// The subject of the snapshots of one stripe.
    fn checkpoint_subject(&self, stripe: u32) -> String {
        format!("{}.checkpoint.{stripe}", self.log_name())
    }
}

/// The state of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamInfo {
    /// The time at which the stream was created, in nanoseconds since the epoch. A stream that is created again under
    /// the same name is another stream.
    pub(crate) created: i128,
    /// The sequence of the oldest message that is stored.
    pub(crate) first_sequence: u64,
    /// The sequence of the newest message.
    pub(crate) last_sequence: u64,
}

/// The result of one attempt to publish a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishResult {
    /// The message is stored and has this sequence.
    Stored(u64),
    /// The expected sequence is not the last one.
    Rejected,
    /// No answer arrived, or an error that says nothing about the message. The same message may be sent again.
    Unknown,
}

/// A consumer of one stream.
pub(crate) struct Consumer {
    /// The number of messages that the broker had for the consumer when it was created.
    pub(crate) pending: u64,
    /// The messages. An item is an error when the connection or the consumer is lost.
    pub(crate) messages: BoxStream<'static, Result<Delivered, BrokerError>>,
}

/// A message from a consumer.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// The position of the message among those of its consumer, from 1. A gap means that a message was lost.
    pub(crate) position: u64,
    pub(crate) message: StoredMessage,
}

/// A message of a stream.
#[derive(Debug)]
pub(crate) struct StoredMessage {
    pub(crate) sequence: u64,
    pub(crate) payload: Bytes,
    /// The number of messages that are stored after this one.
    pub(crate) pending: u64,
}

/// An error of the broker.
#[derive(Debug)]
pub(crate) enum BrokerError {
    /// The operation can succeed later.
    Unavailable(String),
    /// The operation fails until the configuration of the server or the broker is changed.
    Unusable(String),
}

impl BrokerError {
    /// An error that can pass, with the text of its cause.
    pub(crate) fn unavailable(cause: impl fmt::Display) -> Self {
        Self::Unavailable(cause.to_string())
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unavailable(text) | Self::Unusable(text)) = self;
        // Errors of libraries can have several lines.
        f.write_str(&text.replace('\n', " "))
    }
}
