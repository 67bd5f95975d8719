//! One message on its way into the log, until it is known what became of it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::log::{Log, Sent};
use super::message::{self, Body, Origin};

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
    /// It never will be: something else was written meanwhile, by another gateway or somebody else, at this place.
    Overtaken(u64),
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
        if log.is_connected()
            && let Some(delivery) = attempt(&log, &id, &message).await
        {
            return delivery;
        }
        sleep(RETRY).await;
    }
}

/// Sends a message once; `None` where it is not known what became of it.
async fn attempt(log: &Log, id: &str, message: &Message) -> Option<Delivery> {
    match log.send(log.writes_subject(), id, Some(message.expected), message.bytes.clone()).await {
        Sent::Stored(sequence) => Some(Delivery::Stored(sequence)),
        Sent::Refused => look(log, message).await,
        Sent::Unknown => None,
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
        _ => Some(Delivery::Overtaken(sequence)),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{CoverageRing, Timestamp};

    use super::*;
    use crate::nats::log::memory::{Memory, NOTICED};
    use crate::nats::message::{ARRIVAL_NUMBERS, ClockOf, Stage, SupplyOf, Writes};

    /// A message of a gateway, to stand behind the one at `expected`.
    fn message(node: u64, expected: u64) -> Message {
        let origin = Origin { node, batch: 1 };
        let writes = Writes {
            origin,
            epoch: 1,
            stage: Stage::Going,
            now: 0,
            clock: ClockOf::Wall,
            next_number: ARRIVAL_NUMBERS,
            supply: SupplyOf::Up,
            coverage: CoverageRing::default().to_parts(Timestamp::EPOCH),
        };
        Message { origin, expected, bytes: message::encode(Body::Writes(writes), &[]).into() }
    }

    async fn sent(memory: &Memory, message: Message) -> Delivery {
        deliver(Log::in_memory(memory.clone()).await, message).await
    }

    /// What becomes of a message that is sent while the way is as `hindered`, and is free a second later.
    async fn hindered(memory: &Memory, hindered: fn(&Memory)) -> Delivery {
        hindered(memory);
        let way = memory.clone();
        let freed = async move {
            sleep(Duration::from_secs(1)).await;
            way.thaw();
        };
        tokio::join!(sent(memory, message(1, 0)), freed).0
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_whose_answer_was_lost_is_stored_once_and_known_again() {
        for way in [Memory::deafen, Memory::freeze, Memory::keep_busy] {
            let memory = Memory::default();
            assert_eq!(hindered(&memory, way).await, Delivery::Stored(1));
            assert_eq!(memory.end(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_connection_nothing_is_left_to_the_client() {
        let memory = Memory::default();
        memory.freeze();
        sleep(NOTICED).await;
        let sending = tokio::spawn(deliver(Log::in_memory(memory.clone()).await, message(1, 0)));
        sleep(Duration::from_mins(1)).await;
        memory.thaw();
        assert_eq!(memory.end(), 0, "nothing waited for the connection");
        assert_eq!(sending.await.unwrap(), Delivery::Stored(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_known_again_where_the_broker_has_forgotten_its_id() {
        let memory = Memory::default();
        memory.send("TEST.writes".to_owned(), "another id", None, message(1, 0).bytes);
        assert_eq!(sent(&memory, message(1, 0)).await, Delivery::Stored(1));
        assert_eq!(memory.end(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_behind_what_is_not_the_last_any_more_is_never_stored() {
        let memory = Memory::default();
        assert_eq!(sent(&memory, message(1, 0)).await, Delivery::Stored(1));
        assert_eq!(sent(&memory, message(2, 0)).await, Delivery::Overtaken(1));
        memory.send("TEST.writes".to_owned(), "foreign", None, "no message of ours".into());
        assert_eq!(sent(&memory, message(3, 1)).await, Delivery::Overtaken(2));
        memory.purge();
        assert_eq!(sent(&memory, message(4, 2)).await, Delivery::Emptied);
        assert_eq!(sent(&memory, message(5, 0)).await, Delivery::Stored(3));
    }
}
