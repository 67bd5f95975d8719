//! A checkpoint: one snapshot message for each stripe of the state.
//!
//! A node that starts loads the checkpoint instead of the whole log.

pub(crate) mod writer;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use candle_core::{Aggregator, Config, StripeSnapshot};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::broker::{Broker, BrokerError};
use crate::follower::{Follower, LastWrites};
use crate::message::WritesHeader;
use crate::subscribe::{Event, StreamId, subscribe};

/// The version of the format in this module. Each change of the format increments the version.
const VERSION: u32 = 1;

/// The number of stripes of every aggregator in a cluster.
///
/// With 200,000 instruments, a stripe has 400 instruments of 2.1 KB each, and its snapshot fits into a message of 1 MB.
pub(crate) const STRIPES: u32 = 512;

/// The timeout for the next message of a checkpoint. After it, the node loads the checkpoint again.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The header before the snapshot of a stripe.
#[derive(Debug, Serialize, Deserialize)]
struct SnapshotHeader {
    version: u32,
    /// The time at which the log was created, in nanoseconds since the Unix epoch. Snapshots of another log are
    /// ignored.
    created: i128,
    /// The sequence of the last message that the snapshot contains.
    covered: u64,
    /// The last message of a gateway up to the sequence `covered`, with its own sequence.
    last_writes: Option<(u64, WritesHeader)>,
}

/// A loaded checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) aggregator: Aggregator,
    /// The sequence up to which all stripes are complete.
    pub(crate) covered: u64,
    /// The highest sequence up to which any stripe is complete.
    pub(crate) reached: u64,
    pub(crate) last_writes: Option<LastWrites>,
}

/// Returns the settings of the aggregators of a cluster. `created` is the time at which the log was created.
///
/// All nodes use the same stripes and the same seed, so a checkpoint can contain snapshots of several gateways. Only
/// the gateway limits the number of instruments.
pub(crate) fn config(config: Config, created: i128) -> Config {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any bits will do")]
    let seed = created as u64;
    config.with_stripes(STRIPES as usize).with_seed(seed).with_max_instruments(Config::MAX_INSTRUMENTS_LIMIT)
}

/// Loads the checkpoint of the log that was created at `created`. Returns `None` if a stripe has no snapshot.
pub(crate) async fn load<B: Broker>(
    broker: &B,
    stream: StreamId,
    created: i128,
    config: Config,
) -> Result<Option<Checkpoint>, BrokerError> {
    let unreadable = || BrokerError::unavailable("can't read the checkpoint");
    let mut events = subscribe(broker.clone(), stream, 1);
    let mut snapshots = Vec::new();
    loop {
        let event = timeout(LOAD_TIMEOUT, events.recv()).await.map_err(|_| unreadable())?;
        let message = match event.ok_or_else(unreadable)? {
            Event::Message(message) => message,
            Event::End(_) => break,
            Event::Gone(reason) => return Err(BrokerError::Unavailable(reason)),
        };
        snapshots.push(message.payload);
        if message.pending == 0 {
            break;
        }
    }
    Ok(assemble(config, created, &snapshots))
}

/// Builds a checkpoint from snapshot messages, oldest first. Returns `None` if a stripe has no snapshot.
pub(crate) fn assemble(config: Config, created: i128, messages: &[Bytes]) -> Option<Checkpoint> {
    let stripes = messages.iter().filter_map(|bytes| decode(bytes)).filter(|(header, _)| header.created == created);
    let stripes: BTreeMap<_, _> = stripes.map(|(header, stripe)| (stripe.stripe(), (header, stripe))).collect();
    let oldest = stripes.values().min_by_key(|(header, _)| header.covered);
    let (covered, last_writes) = oldest.map(|(header, _)| (header.covered, header.last_writes.clone()))?;
    let reached = stripes.values().map(|(header, _)| header.covered).max()?;
    let snapshots = stripes.into_values().map(|(_, snapshot)| snapshot).collect();
    let last_writes = last_writes.map(|(sequence, header)| LastWrites { sequence, header });
    let aggregator = Aggregator::restore(config, snapshots).ok()?;
    Some(Checkpoint { aggregator, covered, reached, last_writes })
}

fn decode(bytes: &[u8]) -> Option<(SnapshotHeader, StripeSnapshot)> {
    let (header, snapshot) = postcard::take_from_bytes::<SnapshotHeader>(bytes).ok()?;
    if header.version != VERSION {
        return None;
    }
    Some((header, StripeSnapshot::decode(snapshot).ok()?))
}

/// Encodes the snapshot message of one stripe of `follower`.
pub(crate) fn encode(follower: &Follower, created: i128, stripe: &StripeSnapshot) -> Vec<u8> {
    let last_writes = follower.last_writes().map(|last| (last.sequence, last.header.clone()));
    let header = SnapshotHeader { version: VERSION, created, covered: follower.applied(), last_writes };
    let mut bytes = postcard::to_allocvec(&header).expect("plain data in a growing vector");
    bytes.extend(stripe.encode());
    bytes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{CoverageRing, Timestamp};
    use candle_engine::Engine;
    use candle_engine::clock::{Clock, ClockMode};

    use super::*;
    use crate::message::tests::hex;
    use crate::message::{LeaseAction, Origin};

    #[test]
    fn the_encoded_bytes_of_a_checkpoint_are_fixed() {
        let mut coverage = CoverageRing::default();
        coverage.up(Timestamp::EPOCH);
        let header = WritesHeader {
            origin: Origin { node: 1, batch: 300 },
            epoch: 7,
            lease: LeaseAction::Release,
            now: 1_700_000_071_234_567,
            clock: ClockMode::Feed,
            next_arrival_seq: 1 << 63,
            feed_is_down: true,
            coverage: coverage.to_parts(Timestamp::EPOCH),
        };
        let engine = Engine::new(Aggregator::new(config(Config::default(), 1)), Clock::new(ClockMode::Feed));
        engine.aggregator.at_lsn(3).list("a", Some("described")).unwrap();
        let stripe = engine.aggregator.stripe_snapshot(engine.aggregator.stripe_of("a")).unwrap();
        let follower = Follower::new(Arc::new(engine), 1, 41, Some(LastWrites { sequence: 40, header }));
        let bytes = encode(&follower, 1_700_000_000_123_456_789, &stripe);
        let fixed = "01aab4aed8c7bfce972f29012801ac0207028ed0e9c583898506018080808080808080800101010000000000000000000000\
                     0000000000000000000000000000000000000000000002018004a10203000000000000000000003c1e010161010964657363\
                     72696265640000d078a1685a422beb";
        assert_eq!(hex(&bytes), fixed);
    }
}
