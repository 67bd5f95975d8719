//! The stored form of a snapshot, and the way back, on which nothing is taken on trust.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_nano_inline};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Listed, SnapshotError, StripeSnapshot};
use crate::candle::CandleParts;
use crate::catalogue::MAX_DESCRIPTION_BYTES;
use crate::config::Config;
use crate::instrument::InstrumentId;
use crate::outcome::Outcomes;
use crate::ring::{RING_MINUTES, Ring};

/// Goes up with each change of the form below, the list of outcomes included. Below 128, so that it is one byte.
const VERSION: u32 = 1;

/// The bytes of the check sum at the end of the compact form.
const SUM_BYTES: usize = size_of::<u64>();

impl StripeSnapshot {
    /// The compact stored form: the version in the first byte, then the fields (as postcard writes them), then a check
    /// sum of eight bytes. A candle takes about 65 bytes.
    ///
    /// ```
    /// # let aggregator = candle_core::Aggregator::default();
    /// use candle_core::{SnapshotError, StripeSnapshot};
    ///
    /// for part in aggregator.snapshot() {
    ///     let mut stored = part.encode();
    ///     assert_eq!(StripeSnapshot::decode(&stored), Ok(part));
    ///     stored[0] = 99;
    ///     assert_eq!(StripeSnapshot::decode(&stored), Err(SnapshotError::UnknownVersion { version: 99 }));
    /// }
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "writing plain data to memory does not fail")]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = postcard::to_allocvec(self).expect("plain data in a growing vector");
        let sum = check_sum(&bytes);
        bytes.extend(sum);
        bytes
    }

    /// The snapshot with this compact form. What is allocated is bounded by a multiple of `bytes`, whatever they say:
    /// an instrument takes at least five of them, and about 2.3 KB in memory.
    ///
    /// # Errors
    /// [`SnapshotError::UnknownVersion`], or [`SnapshotError::Damaged`] where these are not the bytes that were written.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let cut_short = SnapshotError::Damaged { what: "it is cut short" };
        let (version, _) = postcard::take_from_bytes(bytes).map_err(|_| cut_short)?;
        if version != VERSION {
            return Err(SnapshotError::UnknownVersion { version });
        }
        let (fields, sum) = bytes.split_last_chunk::<SUM_BYTES>().ok_or(cut_short)?;
        if *sum != check_sum(fields) {
            return Err(SnapshotError::Damaged { what: "its check sum is wrong" });
        }
        match postcard::take_from_bytes::<Part>(fields) {
            Ok((part, [])) => part.try_into(),
            Ok(_) => Err(SnapshotError::Damaged { what: "something follows its end" }),
            Err(_) => Err(SnapshotError::Damaged { what: "its fields are none" }),
        }
    }
}

/// Tells bytes that changed by accident; not meant against forgery.
fn check_sum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    const SECRETS: RapidSecrets = RapidSecrets::seed(0);
    rapidhash_v3_nano_inline::<true, false>(bytes, &SECRETS).to_le_bytes()
}

/// Always [`VERSION`]: the first field, so that another form is recognised before anything else of it is read.
struct FormatVersion;

impl Serialize for FormatVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl<'de> Deserialize<'de> for FormatVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Self),
            version => Err(serde::de::Error::custom(SnapshotError::UnknownVersion { version })),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Part {
    version: FormatVersion,
    seed: u64,
    stripes: u32,
    stripe: u32,
    #[serde(rename = "mark")]
    lsn: u64,
    outcomes: Outcomes,
    listed: Vec<Instrument>,
}

#[derive(Serialize, Deserialize)]
struct Instrument {
    id: String,
    description: Option<String>,
    views: u64,
    candles: Vec<CandleParts>,
}

impl From<StripeSnapshot> for Part {
    fn from(part: StripeSnapshot) -> Self {
        let instrument = |listed: Listed| Instrument {
            id: listed.id.as_str().to_owned(),
            description: listed.description.map(|text| text.as_ref().to_owned()),
            views: listed.views,
            candles: listed.ring.stored().map(CandleParts::from).collect(),
        };
        Self {
            version: FormatVersion,
            seed: part.seed,
            stripes: part.stripes,
            stripe: part.stripe,
            lsn: part.lsn,
            outcomes: part.outcomes,
            listed: part.listed.into_iter().map(instrument).collect(),
        }
    }
}

impl TryFrom<Part> for StripeSnapshot {
    type Error = SnapshotError;

    fn try_from(part: Part) -> Result<Self, SnapshotError> {
        let known = part.stripes.is_power_of_two() && part.stripes as usize <= Config::MAX_STRIPES;
        if !known || part.stripe >= part.stripes {
            return Err(SnapshotError::Damaged { what: "there is no such stripe" });
        }
        let listed = part.listed.into_iter().map(listed).collect::<Result<Vec<_>, _>>()?;
        if !listed.is_sorted_by(|a, b| a.id < b.id) {
            return Err(SnapshotError::Damaged { what: "its ids are not in order, or one is there twice" });
        }
        Ok(Self {
            seed: part.seed,
            stripes: part.stripes,
            stripe: part.stripe,
            lsn: part.lsn,
            outcomes: part.outcomes,
            listed,
        })
    }
}

fn listed(stored: Instrument) -> Result<Listed, SnapshotError> {
    let damaged = |what| SnapshotError::Damaged { what };
    if stored.description.as_ref().is_some_and(|text| text.len() > MAX_DESCRIPTION_BYTES) {
        return Err(damaged("a description is too long"));
    }
    if stored.candles.len() > RING_MINUTES + 1 {
        return Err(damaged("a ring holds too many candles"));
    }
    let candles: Option<Vec<_>> = stored.candles.iter().map(CandleParts::candle).collect();
    let ring = candles.and_then(Ring::from_stored).ok_or(damaged("its candles are none that a ring holds"))?;
    Ok(Listed {
        id: InstrumentId::new(&stored.id).map_err(|_| damaged("an instrument id is none"))?,
        description: stored.description.map(Into::into),
        views: stored.views,
        ring,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregator::Aggregator;

    #[test]
    fn what_is_wrong_under_a_right_check_sum_is_a_typed_error_too() {
        let aggregator = Aggregator::new(Config::default().with_stripes(1).with_seed(1));
        let sound = postcard::to_allocvec(&aggregator.snapshot().next()).unwrap()[1..].to_vec();
        let read = |fields: &[u8]| StripeSnapshot::decode(&[fields, &check_sum(fields)[..]].concat());
        assert!(read(&sound).is_ok());
        let (mut stripes, mut longer) = (sound.clone(), sound.clone());
        assert_eq!(sound[..4], [1, 1, 1, 0]); // version, seed, stripes, stripe
        stripes[2] = 3;
        longer.push(0);
        for (fields, what) in [
            (&stripes[..], "there is no such stripe"),
            (&longer[..], "something follows its end"),
            (&sound[..sound.len() - 1], "its fields are none"),
        ] {
            assert_eq!(read(fields), Err(SnapshotError::Damaged { what }));
        }
    }
}
