//! The messages of a stream in their order, whatever becomes of the connection.

use std::ops::RangeInclusive;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{Config, Stream};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::context::GetStreamErrorKind;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};

use super::log::{Log, LogError};

/// Messages that wait between the socket and whoever folds them.
const WAITING: usize = 16;

/// The most bytes that are asked for at once.
const ASKED_BYTES: usize = 8 << 20;

/// How often the broker shows that it is there where it has nothing to send; it is missed after twice that.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long one request for messages stands.
const REQUEST: Duration = Duration::from_secs(10);

/// The longest that the making of a consumer may take: a broker without a leader makes none.
const MAKING: Duration = Duration::from_secs(5);

/// How long to wait before the next try.
const RETRY: Duration = Duration::from_millis(200);

/// After how many tries that brought nothing it is said why: ten seconds and more, by when a leader is elected.
const GRUMBLE_AFTER: u32 = 50;

/// What comes of a stream.
#[derive(Debug)]
pub(super) enum Event {
    /// The next message.
    Message(Entry),
    /// There is nothing at present behind what came; the stream ends at this place.
    End(u64),
    /// It is gone, and another one may be there in its place: for the reason why.
    Gone(String),
}

/// One message.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) payload: Bytes,
    /// How many there are behind it by now.
    pub(super) pending: u64,
}

/// A stream of this name, and when it was made: another one of the same name is another one.
#[derive(Clone, Debug)]
pub(super) struct Of {
    pub(super) stream: String,
    /// Nanoseconds since the epoch.
    pub(super) created: i128,
}

/// Reads a stream from the message at `next` on, in a task of its own that ends with the receiver. Messages come in
/// their order and each once; a gap is one in the stream.
pub(super) fn spawn(log: Log, of: Of, next: u64) -> Receiver<Event> {
    let (sender, receiver) = channel(WAITING);
    tokio::spawn(async move {
        let mut next = next.max(1);
        let (mut tries, mut tried_from) = (0_u32, next);
        while !sender.is_closed() {
            let read = tokio::select! {
                read = read(&log, &of, &mut next, &sender) => read,
                () = sender.closed() => return,
            };
            if let Err(error) = read {
                tracing::debug!(of.stream, "the log is read anew: {error}");
                tries = if tried_from == next { tries.saturating_add(1) } else { 1 };
                tried_from = next;
                if tries == GRUMBLE_AFTER {
                    tracing::warn!(of.stream, next, "the log can't be read: {error}");
                }
                if let LogError::Unfit(why) = error {
                    // Fails only if nobody listens any more.
                    let _ = sender.send(Event::Gone(why)).await;
                    return;
                }
            }
            sleep(RETRY).await;
        }
    });
    receiver
}

/// Reads by one consumer, until it is gone.
async fn read(log: &Log, of: &Of, next: &mut u64, sender: &Sender<Event>) -> Result<(), LogError> {
    let away = |what: &str| LogError::Away(what.to_owned());
    let (mut messages, last, end) = timeout(MAKING, open(log, of, *next)).await.map_err(|_| away("no consumer"))??;
    if let Some(end) = end {
        sender.send(Event::End(end)).await.map_err(|_| away("nobody listens"))?;
    }
    let mut delivered = 0;
    loop {
        // A missing heartbeat is an error here.
        let message = messages.next().await.ok_or_else(|| away("the consumer is gone"))?;
        let message = message.map_err(|error| LogError::Away(error.to_string()))?;
        let info = message.info().map_err(|error| LogError::Away(error.to_string()))?;
        // The broker that feeds the consumer may lag behind the leader: there is more than it knows.
        let (sequence, pending) = (info.stream_sequence, info.pending.max(last.saturating_sub(info.stream_sequence)));
        delivered += 1;
        if info.consumer_sequence != delivered {
            // A connection broke with some of them on the way, as where this process was too slow to take them.
            return Err(away("messages were lost on the way"));
        }
        if sequence < *next {
            continue;
        }
        *next = sequence + 1;
        let entry = Entry { sequence, payload: message.payload.clone(), pending };
        sender.send(Event::Message(entry)).await.map_err(|_| away("nobody listens"))?;
    }
}

/// A consumer from `next` on, the stream's last message as its leader has it, and where the stream ends if nothing is there
/// yet.
async fn open(log: &Log, of: &Of, next: u64) -> Result<(Stream, u64, Option<u64>), LogError> {
    let away = |error: &dyn std::fmt::Display| LogError::Away(error.to_string());
    let stream = log.context().get_stream(&of.stream).await.map_err(|error| match error.kind() {
        GetStreamErrorKind::JetStream(error) if error.code() == 404 => {
            LogError::Unfit(format!("the stream {} was deleted", of.stream))
        }
        _ => away(&error),
    })?;
    let state = &stream.cached_info().state;
    let stored = state.first_sequence..=state.last_sequence;
    if stream.cached_info().created.unix_timestamp_nanos() != of.created {
        return Err(LogError::Unfit(format!("the stream {} was made anew", of.stream)));
    }
    holds(&of.stream, *stored.end(), next - 1)?;
    let consumer = stream
        .create_consumer(Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: next },
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(30),
            ..Config::default()
        })
        .await
        .map_err(|error| away(&error))?;
    let end = end(&stored, next, consumer.cached_info().num_pending)?;
    let messages = consumer
        .stream()
        .max_bytes_per_batch(ASKED_BYTES)
        .expires(REQUEST)
        .heartbeat(HEARTBEAT)
        .messages()
        .await
        .map_err(|error| away(&error))?;
    Ok((messages, *stored.end(), end))
}

/// Looks whether a stream that ends at `last` has what was read of it before, up to `known`.
///
/// # Errors
/// Where it ends earlier: its leader was elected just now and lags behind, or brokers lost what they had stored. Then what
/// is written in its place would be another log.
pub(super) fn holds(stream: &str, last: u64, known: u64) -> Result<(), LogError> {
    if last >= known {
        return Ok(());
    }
    Err(LogError::Away(format!(
        "the stream {stream} ends at message {last} and had {known}: where that lasts its brokers lost what they had stored, \
         and it has to be deleted, to be made anew"
    )))
}

/// Where the stream ends, if a consumer from `next` on has none `pending`; its leader says which messages are `stored`.
///
/// # Errors
/// Where there is one for it: the broker that feeds the consumer lags behind the leader, and so its end is none.
fn end(stored: &RangeInclusive<u64>, next: u64, pending: u64) -> Result<Option<u64>, LogError> {
    if pending > 0 {
        return Ok(None);
    }
    if *stored.end() >= next.max(*stored.start()) {
        return Err(LogError::Away("the broker that was asked lags behind".to_owned()));
    }
    Ok(Some(*stored.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_came_back_shorter_was_followed_as_if_nothing_had_happened() {
        assert!(holds("X", 9, 9).is_ok() && holds("X", 9, 0).is_ok() && holds("X", 0, 0).is_ok());
        let line = holds("X", 8, 9).unwrap_err().to_string();
        assert!(line.contains("X ends at message 8 and had 9"), "{line}");
    }

    #[test]
    fn the_end_of_a_broker_that_lags_behind_is_not_the_streams() {
        let end = |first, last, next, pending| end(&(first..=last), next, pending).ok();
        assert_eq!(end(1, 9, 5, 5), Some(None));
        assert_eq!(end(1, 9, 10, 0), Some(Some(9)));
        assert_eq!([end(1, 9, 9, 0), end(9, 9, 1, 0)], [None; 2]);
        // Made just now; and emptied.
        assert_eq!([end(0, 0, 1, 0), end(10, 9, 1, 0)], [Some(Some(0)), Some(Some(9))]);
    }
}
