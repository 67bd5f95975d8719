//! What travels: an envelope, and behind it a batch as the store keeps one.

use candle_core::{CoverageRing, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock::ClockMode;

/// What every message begins with, whatever its version: nothing that comes to a subject by mistake does.
pub(super) const MAGIC: &[u8] = b"candle\xff";

/// Goes up with each change of the form below.
const VERSION: u32 = 1;

/// Numbers from here on are those of arrival, given to ticks whose feed has none; a feed's own are below.
pub(super) const ARRIVAL_NUMBERS: u64 = 1 << 63;

/// One message of the log, but for the batch behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Envelope {
    version: u32,
    body: Body,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Body {
    /// What a gateway recorded.
    Writes(Writes),
    /// What a node's readers viewed.
    Views(Origin),
}

/// Who wrote a message, and which one of theirs it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// Drawn by chance when the process starts.
    pub(super) node: u64,
    /// Counts up from 1.
    pub(super) batch: u64,
}

/// What a gateway tells with its writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Writes {
    pub(super) origin: Origin,
    /// Goes up by one when another gateway takes over.
    pub(super) epoch: u64,
    pub(super) stage: Stage,
    /// The time on the candles' clock once this is folded, in microseconds since the epoch.
    pub(super) now: i64,
    pub(super) clock: ClockOf,
    /// The number of arrival of the next tick that has none of its own.
    pub(super) next_number: u64,
    pub(super) supply: SupplyOf,
    /// Which minutes were covered, as if the feed went down at `now`.
    pub(super) coverage: (Option<i64>, [u32; 32]),
}

/// Where a message stands in the time of its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// The first: whoever wrote before writes no more.
    Opening,
    /// One of many.
    Going,
    /// The last: the next gateway need not wait.
    Closing,
    /// The first, of a gateway that could not read all of the log before it, as messages are gone that no checkpoint
    /// holds. What it knows is what counts: everyone begins anew from the checkpoint that it writes next.
    Anew,
}

/// Whose time `now` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ClockOf {
    /// The gateway's wall clock.
    Wall,
    /// The feed's own.
    Feed,
}

impl From<ClockMode> for ClockOf {
    fn from(source: ClockMode) -> Self {
        match source {
            ClockMode::Wall => Self::Wall,
            ClockMode::Feed => Self::Feed,
        }
    }
}

/// Whether the gateway's feed brings what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SupplyOf {
    /// It does.
    Up,
    /// It does not.
    Down,
}

impl Writes {
    /// `now` as a time.
    pub(super) fn now(&self) -> Option<Timestamp> {
        Timestamp::from_micros(self.now)
    }

    /// Which minutes were covered.
    pub(super) fn coverage(&self) -> Option<CoverageRing> {
        CoverageRing::from_parts(self.coverage.0, self.coverage.1)
    }
}

/// The bytes of a message.
pub(super) fn encode(body: Body, blob: &[u8]) -> Vec<u8> {
    let envelope = Envelope { version: VERSION, body };
    let mut bytes = postcard::to_extend(&envelope, MAGIC.to_vec()).expect("plain data in a growing vector");
    bytes.extend_from_slice(blob);
    bytes
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Something else wrote them.
    Foreign,
    /// A later version wrote them.
    Newer,
}

/// What these bytes are, and the batch behind it.
pub(super) fn decode(bytes: &[u8]) -> Result<(Body, &[u8]), Unreadable> {
    let bytes = bytes.strip_prefix(MAGIC).ok_or(Unreadable::Foreign)?;
    let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(|_| Unreadable::Foreign)?;
    match version {
        VERSION => {}
        newer if newer > VERSION => return Err(Unreadable::Newer),
        _ => return Err(Unreadable::Foreign),
    }
    let (envelope, blob) = postcard::take_from_bytes::<Envelope>(bytes).map_err(|_| Unreadable::Foreign)?;
    Ok((envelope.body, blob))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written_and_nothing_else_is_one() {
        let body = Body::Views(Origin { node: u64::MAX, batch: 3 });
        let bytes = encode(body.clone(), b"blob");
        assert_eq!(decode(&bytes), Ok((body, &b"blob"[..])));
        assert_eq!(decode(&[MAGIC, &[9]].concat()), Err(Unreadable::Newer));
        // The last four begin as a version would.
        for foreign in [&b""[..], b"{\"id\":1}", &bytes[..3], MAGIC, b"\n", b"\t{}", b"\x1f\x8b\x08", b"\x0a\x03abc"] {
            assert_eq!(decode(foreign), Err(Unreadable::Foreign));
        }
    }

    /// Bytes in hexadecimal.
    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn writes(stage: Stage, clock: ClockOf, supply: SupplyOf) -> Writes {
        let mut coverage = CoverageRing::default();
        coverage.up(Timestamp::from_seconds(1_700_000_010).unwrap());
        let now = Timestamp::from_micros(1_700_000_071_234_567).unwrap();
        Writes {
            origin: Origin { node: 0x0123_4567_89ab_cdef, batch: 300 },
            epoch: 7,
            stage,
            now: now.as_micros(),
            clock,
            next_number: ARRIVAL_NUMBERS + 5,
            supply,
            coverage: coverage.to_parts(now),
        }
    }

    /// A batch with one write of each kind.
    fn batch() -> Vec<u8> {
        use crate::journal::{Batch, JudgedBy, Write};
        let time = |second| Timestamp::from_seconds(second).unwrap();
        let mut batch = Batch::new(0);
        batch.push(Write::List { id: "a", description: Some("described") });
        batch.push(Write::List { id: "b", description: None });
        batch.push(Write::Delist { id: "b" });
        batch.push(Write::Clear);
        let context = JudgedBy { now: time(1_700_000_060), unlisted: candle_core::Unlisted::List };
        let sized = candle_core::Tick::new(time(1_700_000_059), 1.5).with_seq(9).with_size(2.0);
        let numbered = candle_core::Tick::new(time(1_700_000_060), -0.25).with_seq(ARRIVAL_NUMBERS);
        batch.push_ticks(&[("a", sized), ("c", numbered)], context);
        crate::blob::encode(&batch, &[], &candle_core::Rules::DEFAULT)
    }

    #[test]
    fn the_encoded_bytes_of_every_message_are_fixed() {
        let batch = "01000080ade20403016101620163050000010964657363726962656400010001010203809c8ebb838985060102\
                     00809394ba8389850612000000000000f83f0100000000000000400280897aeeffffffffffffffff0100000000\
                     0000d0bf0000";
        let end = "018ed0e9c5838985060000000000000000000000000000000000000000008087a70e87b4f20e000000000000000000";
        for (stage, clock, supply, middle) in [
            (Stage::Opening, ClockOf::Wall, SupplyOf::Up, "008ed0e9c583898506008580808080808080800100"),
            (Stage::Going, ClockOf::Feed, SupplyOf::Down, "018ed0e9c583898506018580808080808080800101"),
            (Stage::Closing, ClockOf::Wall, SupplyOf::Down, "028ed0e9c583898506008580808080808080800101"),
            (Stage::Anew, ClockOf::Feed, SupplyOf::Up, "038ed0e9c583898506018580808080808080800100"),
        ] {
            let bytes = hex(&encode(Body::Writes(writes(stage, clock, supply)), &self::batch()));
            assert_eq!(bytes, format!("63616e646c65ff0100ef9bafcdf8acd19101ac0207{middle}{end}{batch}"));
        }
        assert_eq!(
            hex(&encode(Body::Views(Origin { node: 1, batch: 2 }), b"batch")),
            "63616e646c65ff010101026261746368"
        );
    }
}
