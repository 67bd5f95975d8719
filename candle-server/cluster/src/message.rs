//! Encodes and decodes the messages of the log.
//!
//! A message is an envelope, followed by a batch of writes in the format of [`candle_engine::codec`].

use candle_core::{CoverageRing, Timestamp};
use candle_engine::clock::ClockMode;
use serde::{Deserialize, Serialize};

/// The first bytes of every message, in all versions. Messages of other programs begin differently.
pub(crate) const MAGIC: &[u8] = b"candle\xff";

/// The version of the format in this module. Each change of the format increments the version.
const VERSION: u32 = 1;

/// The lowest arrival number. Gateways give arrival numbers to ticks without a sequence number, in the order of
/// arrival.
///
/// The sequence numbers of a feed are lower.
pub(crate) const FIRST_ARRIVAL_SEQ: u64 = 1 << 63;

/// The number of log sequence numbers that each message reserves. A message of 1 MB has far fewer writes.
pub(crate) const LSNS_PER_MESSAGE: u64 = 1 << 20;

const _: () = assert!(LSNS_PER_MESSAGE.is_power_of_two());

/// Returns the log sequence number (lsn) of the first write in the message at `sequence`. Sequences start at 1.
///
/// The write at index `n` of the message has the returned number plus `n`. So a write has the same number on all nodes.
pub(crate) const fn first_lsn(sequence: u64) -> u64 {
    sequence.saturating_mul(LSNS_PER_MESSAGE)
}

/// The first part of a message: the version and the kind of the message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Envelope {
    version: u32,
    content: Content,
}

/// The two kinds of messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Content {
    /// Writes from the feed, published by a gateway.
    Writes(WritesHeader),
    /// Numbers of views, published by a read node.
    Views(Origin),
}

/// The identity of a message: the node that published it, and its number among the messages of that node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// A random number that identifies the node.
    pub(crate) node: u64,
    /// The number of the message, starting at 1.
    pub(crate) batch: u64,
}

/// The header of a message of a gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WritesHeader {
    pub(crate) origin: Origin,
    /// The epoch: the number of the lease. Each claim of the lease increments the epoch.
    pub(crate) epoch: u64,
    pub(crate) lease: LeaseAction,
    /// The time on the clock of the candles after this message, in microseconds since the epoch.
    pub(crate) now: i64,
    #[serde(with = "clock_mode")]
    pub(crate) clock: ClockMode,
    /// The arrival number for the next tick without a sequence number.
    pub(crate) next_arrival_seq: u64,
    /// True while the feed of the gateway is down.
    pub(crate) feed_is_down: bool,
    /// The part of each minute in which the feed was up, computed as if the feed went down at `now`.
    pub(crate) coverage: (Option<i64>, [u32; 32]),
}

/// The effect of a message on the lease. The position of each variant is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LeaseAction {
    /// The first message of a leader. After a claim, the broker rejects the messages of all earlier leaders.
    Claim,
    /// Any other message of a leader.
    Renew,
    /// The last message of a leader that stops. Another gateway can claim the lease at once.
    Release,
    /// A claim of a gateway that could not read the whole log.
    ///
    /// The broker deleted messages that no checkpoint contains. All other nodes restart from the checkpoint that this
    /// gateway writes next.
    Reset,
}

/// Encodes a clock mode as one byte.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
mod clock_mode {
    use serde::de::{Error, Unexpected};
    use serde::{Deserialize, Deserializer, Serializer};

    use super::ClockMode;

    pub(crate) fn serialize<S: Serializer>(mode: &ClockMode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match mode {
            ClockMode::Wall => 0,
            ClockMode::Feed => 1,
        })
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ClockMode, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(ClockMode::Wall),
            1 => Ok(ClockMode::Feed),
            other => Err(Error::invalid_value(Unexpected::Unsigned(other.into()), &"0 or 1")),
        }
    }
}

impl WritesHeader {
    /// Returns the time on the clock of the candles after this message.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        Timestamp::from_micros(self.now)
    }

    /// Returns the coverage after this message.
    pub(crate) fn coverage(&self) -> Option<CoverageRing> {
        CoverageRing::from_parts(self.coverage.0, self.coverage.1)
    }
}

/// Encodes a message with an encoded batch of writes.
pub(crate) fn encode(content: Content, batch: &[u8]) -> Vec<u8> {
    let envelope = Envelope { version: VERSION, content };
    let mut bytes = postcard::to_extend(&envelope, MAGIC.to_vec()).expect("plain data in a growing vector");
    bytes.extend_from_slice(batch);
    bytes
}

/// The reason why bytes can't be decoded as a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// The bytes are not a message of this server, or they are damaged.
    Foreign,
    /// A later version of this server wrote the bytes.
    NewerVersion,
}

/// Decodes the envelope of a message and returns the encoded batch after it.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Content, &[u8]), DecodeError> {
    let bytes = bytes.strip_prefix(MAGIC).ok_or(DecodeError::Foreign)?;
    let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(|_| DecodeError::Foreign)?;
    match version {
        VERSION => {}
        newer if newer > VERSION => return Err(DecodeError::NewerVersion),
        _ => return Err(DecodeError::Foreign),
    }
    let (envelope, batch) = postcard::take_from_bytes::<Envelope>(bytes).map_err(|_| DecodeError::Foreign)?;
    Ok((envelope.content, batch))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn a_message_is_decoded_as_it_was_encoded_and_other_bytes_are_rejected() {
        let body = Content::Views(Origin { node: u64::MAX, batch: 3 });
        let bytes = encode(body.clone(), b"blob");
        assert_eq!(decode(&bytes), Ok((body, &b"blob"[..])));
        assert_eq!(decode(&[MAGIC, &[9]].concat()), Err(DecodeError::NewerVersion));
        // The first byte of each of the last four inputs is a version number.
        for foreign in [&b""[..], b"{\"id\":1}", &bytes[..3], MAGIC, b"\n", b"\t{}", b"\x1f\x8b\x08", b"\x0a\x03abc"] {
            assert_eq!(decode(foreign), Err(DecodeError::Foreign));
        }
    }

    /// Returns bytes as hexadecimal text.
    pub(crate) fn hex(bytes: &[u8]) -> String {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    }

    fn writes(lease: LeaseAction, clock: ClockMode, feed_is_down: bool) -> WritesHeader {
        let mut coverage = CoverageRing::default();
        coverage.up(Timestamp::from_seconds(1_700_000_010).unwrap());
        let now = Timestamp::from_micros(1_700_000_071_234_567).unwrap();
        WritesHeader {
            origin: Origin { node: 0x0123_4567_89ab_cdef, batch: 300 },
            epoch: 7,
            lease,
            now: now.as_micros(),
            clock,
            next_arrival_seq: FIRST_ARRIVAL_SEQ + 5,
            feed_is_down,
            coverage: coverage.to_parts(now),
        }
    }

    /// Returns an encoded batch with one write of each kind.
    fn batch() -> Vec<u8> {
        use candle_engine::journal::{Batch, TickContext, Write};
        let time = |second| Timestamp::from_seconds(second).unwrap();
        let mut batch = Batch::new(0);
        batch.push(Write::List { id: "a", description: Some("described") });
        batch.push(Write::List { id: "b", description: None });
        batch.push(Write::Delist { id: "b" });
        batch.push(Write::Clear);
        let context = TickContext { now: time(1_700_000_060), unlisted: candle_core::Unlisted::List };
        let sized = candle_core::Tick::new(time(1_700_000_059), 1.5).with_seq(9).with_size(2.0);
        let numbered = candle_core::Tick::new(time(1_700_000_060), -0.25).with_seq(FIRST_ARRIVAL_SEQ);
        batch.push_ticks([("a", sized), ("c", numbered)], context);
        candle_engine::codec::encode(&batch, &[], &candle_core::Rules::DEFAULT)
    }

    #[test]
    fn the_encoded_bytes_of_every_message_are_fixed() {
        let batch = "01000080ade20403016101620163050000010964657363726962656400010001010203809c8ebb838985060102\
                     00809394ba8389850612000000000000f83f0100000000000000400280897aeeffffffffffffffff0100000000\
                     0000d0bf0000";
        let end = "018ed0e9c5838985060000000000000000000000000000000000000000008087a70e87b4f20e000000000000000000";
        for (lease, clock, feed_is_down, middle) in [
            (LeaseAction::Claim, ClockMode::Wall, false, "008ed0e9c583898506008580808080808080800100"),
            (LeaseAction::Renew, ClockMode::Feed, true, "018ed0e9c583898506018580808080808080800101"),
            (LeaseAction::Release, ClockMode::Wall, true, "028ed0e9c583898506008580808080808080800101"),
            (LeaseAction::Reset, ClockMode::Feed, false, "038ed0e9c583898506018580808080808080800100"),
        ] {
            let bytes = hex(&encode(Content::Writes(writes(lease, clock, feed_is_down)), &self::batch()));
            assert_eq!(bytes, format!("63616e646c65ff0100ef9bafcdf8acd19101ac0207{middle}{end}{batch}"));
        }
        assert_eq!(
            hex(&encode(Content::Views(Origin { node: 1, batch: 2 }), b"batch")),
            "63616e646c65ff010101026261746368"
        );
    }
}
