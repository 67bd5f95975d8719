//! The broker that stores the log. The trait has an implementation for NATS JetStream and an in-memory one for tests.

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
/// The log is one stream with two subjects: the writes of gateways and the views of read nodes. The checkpoint is a
/// second stream.
pub(crate) trait Broker: Clone + fmt::Debug + Send + Sync + 'static {
    /// The servers of the broker and the credentials for them.
    type Address: Clone + fmt::Debug + fmt::Display + Send + Sync;

    /// Connects to any server of the broker.
    fn connect(address: &Self::Address) -> impl Future<Output = Result<Self, BrokerError>> + Send;

    /// Returns true while the connection is open.
    ///
    /// Callers check the connection before they publish. A disconnected client would queue the message and send it
    /// after it reconnects.
    fn is_connected(&self) -> bool;

    /// Returns the name of the log, which is also the name of its stream.
    fn log_name(&self) -> &str;

    /// Returns the size of the longest message that the broker stores, in bytes.
    fn max_message_bytes(&self) -> usize;

    /// Creates both streams if they do not exist, and compares existing streams with `options`.
    fn prepare(&self, options: &StreamOptions) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Returns the state of a stream, or `None` if there is no stream of this name.
    fn info(&self, stream: &str) -> impl Future<Output = Result<Option<StreamInfo>, BrokerError>> + Send;

    /// Sends a message once. If several messages have the same `id`, the broker stores only the first of them.
    ///
    /// If `expected` is given, the broker stores the message only if the last message of `subject` has this sequence.
    fn publish(
        &self,
        subject: String,
        id: &str,
        expected: Option<u64>,
        payload: Bytes,
    ) -> impl Future<Output = PublishResult> + Send;

    /// Returns the last message of a gateway and its sequence, read from the broker that leads the stream.
    fn last_writes(&self) -> impl Future<Output = Result<Option<(u64, Bytes)>, BrokerError>> + Send;

    /// Creates a consumer that delivers the messages of a stream in order, starting at the sequence `next`.
    fn consume(&self, stream: &str, next: u64) -> impl Future<Output = Result<Consumer, BrokerError>> + Send;

    /// Returns the name of the checkpoint stream.
    fn checkpoint_stream(&self) -> String {
        format!("{}_CHECKPOINT", self.log_name())
    }

    /// Returns the subject for the writes of gateways.
    fn writes_subject(&self) -> String {
        format!("{}.writes", self.log_name())
    }

    /// Returns the subject for the views of read nodes.
    fn views_subject(&self) -> String {
        format!("{}.views", self.log_name())
    }

    /// Returns the subject for the snapshots of one stripe.
    fn checkpoint_subject(&self, stripe: u32) -> String {
        format!("{}.checkpoint.{stripe}", self.log_name())
    }
}

/// The state of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamInfo {
    /// The time at which the stream was created, in nanoseconds since the epoch.
    ///
    /// If a stream is deleted and created again with the same name, this time shows that it is another stream.
    pub(crate) created: i128,
    /// The sequence of the oldest stored message.
    pub(crate) first_sequence: u64,
    /// The sequence of the newest message.
    pub(crate) last_sequence: u64,
}

/// The result of one attempt to publish a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishResult {
    /// The message is stored. The value is its sequence.
    Stored(u64),
    /// The message is not stored, because the last message of the subject does not have the expected sequence.
    Rejected,
    /// The message may or may not be stored, because no answer or an unrelated error arrived. The caller may retry.
    Unknown,
}

/// A consumer of one stream.
pub(crate) struct Consumer {
    /// The number of messages that waited for the consumer when the consumer was created.
    pub(crate) pending: u64,
    /// The messages. The stream yields an error when the connection or the consumer is lost.
    pub(crate) messages: BoxStream<'static, Result<Delivered, BrokerError>>,
}

/// A message from a consumer.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// The number of the message among all messages of its consumer, starting at 1. A gap means that a message was
    /// lost.
    pub(crate) position: u64,
    pub(crate) message: StoredMessage,
}

/// A message that a stream stores.
#[derive(Debug)]
pub(crate) struct StoredMessage {
    pub(crate) sequence: u64,
    pub(crate) payload: Bytes,
    /// The number of messages that follow this message in the stream.
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
    /// Creates an error that may be temporary, with the text of its cause.
    pub(crate) fn unavailable(cause: impl fmt::Display) -> Self {
        Self::Unavailable(cause.to_string())
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unavailable(text) | Self::Unusable(text)) = self;
        // Error texts of libraries can have several lines, and a log line must have one.
        f.write_str(&text.replace('\n', " "))
    }
}
