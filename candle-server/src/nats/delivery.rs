//! One message on its way into the log, until it is known what became of it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::log::{Log, Sent};
use super::message::{self, Body, Origin, Unreadable};

/// How long to wait before the same is sent again.
const RETRY: Duration = Duration::from_millis(50);

/// A gateway's message, which must stand right behind the one at `expected`.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) origin: Origin,
    pub(super) expected: u64,
    pub(super) bytes: Bytes,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It is stored, at this place.
    Stored(u64),
    /// Another gateway has written meanwhile: this one never will be.
    Fenced,
    /// Something that is no message of ours was written there, at this place.
    Stray(u64),
    /// Nothing is left of what it was to stand behind: no gateway has written for longer than the log keeps, or it was
    /// emptied.
    Emptied,
}

/// Sends a message until it is stored, or can't be any more. The broker may store it and fail to say so: the same id
/// keeps it from being stored twice, and the log itself tells whose message stands at its place.
pub(super) async fn deliver(log: Log, message: Message) -> Delivery {
    let Origin { node, batch } = message.origin;
    let id = format!("w.{node}.{batch}");
    loop {
        match log.send(log.writes_subject(), &id, Some(message.expected), message.bytes.clone()).await {
            Sent::Stored(sequence) => return Delivery::Stored(sequence),
            Sent::Refused => {
                if let Some(delivery) = look(&log, &message).await {
                    return delivery;
                }
            }
            Sent::Unknown => {}
        }
        sleep(RETRY).await;
    }
}

/// What the log says of a message that was refused; `None` where that is not known.
async fn look(log: &Log, message: &Message) -> Option<Delivery> {
    let Some((sequence, bytes)) = log.last_writes().await.ok()? else {
        return (message.expected > 0).then_some(Delivery::Emptied);
    };
    match message::decode(&bytes) {
        Ok((Body::Writes(writes), _)) if writes.origin == message.origin => Some(Delivery::Stored(sequence)),
        // An earlier try of the same message is still under way.
        _ if sequence == message.expected => None,
        Err(Unreadable::Foreign) => Some(Delivery::Stray(sequence)),
        _ => Some(Delivery::Fenced),
    }
}
