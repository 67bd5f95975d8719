//! Publishes one message of a gateway, with attempts until its result is known.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;

use crate::broker::{Broker, PublishResult};
use crate::message::{self, Content, Origin};
use crate::retry::retry;

/// The pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A message that a gateway publishes.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) origin: Origin,
    /// The sequence that the previous message of a gateway must have, or 0 if there must be none.
    pub(crate) expected: u64,
    pub(crate) payload: Bytes,
}

/// The final result of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The message is stored. The value is its sequence.
    Stored(u64),
    /// The message can never be stored, because another process has written a message after the expected predecessor.
    ///
    /// The value is the sequence of the other message.
    Superseded(u64),
    /// The message can never be stored, because the log has no message of a gateway any more.
    ///
    /// The broker has deleted all of them because of their age, or an operator has emptied the log.
    LogEmptied,
}

/// Publishes a message repeatedly until it is stored or can't be stored any more.
///
/// The answer of the broker can be lost after the message was stored. The id of the message prevents a second copy. If
/// a repeated attempt is rejected, the last message of the log shows if it is this message.
pub(crate) async fn deliver<B: Broker>(broker: B, publication: Publication) -> Delivery {
    let Origin { node, batch } = publication.origin;
    let id = format!("w.{node}.{batch}");
    let attempt = |()| async {
        let delivery = if broker.is_connected() { attempt(&broker, &id, &publication).await } else { None };
        delivery.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    };
    retry(RETRY_PAUSE, (), attempt).await
}

/// Publishes a message once. Returns `None` if the result is unknown.
async fn attempt(broker: &impl Broker, id: &str, publication: &Publication) -> Option<Delivery> {
    let Publication { expected, payload, .. } = publication;
    match broker.publish(broker.writes_subject(), id, Some(*expected), payload.clone()).await {
        PublishResult::Stored(sequence) => Some(Delivery::Stored(sequence)),
        PublishResult::Rejected => look_up(broker, publication).await,
        PublishResult::Unknown => None,
    }
}

/// Reads the result of a rejected message from the log. Returns `None` if the result is still unknown.
async fn look_up(broker: &impl Broker, publication: &Publication) -> Option<Delivery> {
    let Some((sequence, payload)) = broker.last_writes().await.ok()? else {
        return (publication.expected > 0).then_some(Delivery::LogEmptied);
    };
    match message::decode(&payload) {
        Ok((Content::Writes(header), _)) if header.origin == publication.origin => Some(Delivery::Stored(sequence)),
        // The log is as expected, so an earlier attempt with the same message is still in progress.
        _ if sequence == publication.expected => None,
        _ => Some(Delivery::Superseded(sequence)),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{CoverageRing, Timestamp};
    use candle_engine::clock::ClockMode;
    use tokio::time::sleep;

    use super::*;
    use crate::broker::memory::{LOSS_NOTICED_AFTER, MemoryBroker};
    use crate::message::{FIRST_ARRIVAL_SEQ, LeaseAction, WritesHeader};

    /// Returns a message of a gateway that must follow the message at `expected`.
    fn publication(node: u64, expected: u64) -> Publication {
        let origin = Origin { node, batch: 1 };
        let header = WritesHeader {
            origin,
            epoch: 1,
            lease: LeaseAction::Renew,
            now: 0,
            clock: ClockMode::Wall,
            next_arrival_seq: FIRST_ARRIVAL_SEQ,
            feed_is_down: false,
            coverage: CoverageRing::default().to_parts(Timestamp::EPOCH),
        };
        Publication { origin, expected, payload: message::encode(Content::Writes(header), &[]).into() }
    }

    async fn delivered(broker: &MemoryBroker, publication: Publication) -> Delivery {
        deliver(broker.clone(), publication).await
    }

    /// Publishes a message on a connection that is disturbed for one second, and returns the result.
    async fn delivered_despite(broker: &MemoryBroker, disturb: fn(&MemoryBroker)) -> Delivery {
        disturb(broker);
        let connection = broker.clone();
        let thaw = async move {
            sleep(Duration::from_secs(1)).await;
            connection.thaw();
        };
        tokio::join!(delivered(broker, publication(1, 0)), thaw).0
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_whose_answer_is_lost_is_stored_once_and_recognized() {
        for disturb in [MemoryBroker::deafen, MemoryBroker::freeze, MemoryBroker::keep_busy] {
            let broker = MemoryBroker::default();
            assert_eq!(delivered_despite(&broker, disturb).await, Delivery::Stored(1));
            assert_eq!(broker.end(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_connection_no_message_is_queued_in_the_client() {
        let broker = MemoryBroker::default();
        broker.freeze();
        sleep(LOSS_NOTICED_AFTER).await;
        let delivery = tokio::spawn(deliver(broker.clone(), publication(1, 0)));
        sleep(Duration::from_mins(1)).await;
        broker.thaw();
        assert_eq!(broker.end(), 0, "no message waited for the connection");
        assert_eq!(delivery.await.unwrap(), Delivery::Stored(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stored_message_is_recognized_when_the_broker_has_forgotten_its_id() {
        let broker = MemoryBroker::default();
        broker.publish_now("TEST.writes".to_owned(), "another id", None, publication(1, 0).payload);
        assert_eq!(delivered(&broker, publication(1, 0)).await, Delivery::Stored(1));
        assert_eq!(broker.end(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_whose_expected_sequence_is_not_the_last_is_never_stored() {
        let broker = MemoryBroker::default();
        assert_eq!(delivered(&broker, publication(1, 0)).await, Delivery::Stored(1));
        assert_eq!(delivered(&broker, publication(2, 0)).await, Delivery::Superseded(1));
        broker.publish_now("TEST.writes".to_owned(), "foreign", None, "no message of ours".into());
        assert_eq!(delivered(&broker, publication(3, 1)).await, Delivery::Superseded(2));
        broker.purge();
        assert_eq!(delivered(&broker, publication(4, 2)).await, Delivery::LogEmptied);
        assert_eq!(delivered(&broker, publication(5, 0)).await, Delivery::Stored(3));
    }
}
