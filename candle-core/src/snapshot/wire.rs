//! The stored form of a snapshot. Decoding validates every field.

mod read;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_nano_inline};
use serde::{Deserialize, Serialize};

use super::{InstrumentSnapshot, SnapshotError, StripeSnapshot};
use crate::candle::stored::CandleParts;
use crate::config::Config;
use crate::instrument_id::InstrumentId;
use crate::interval::Interval;
use crate::outcome::Outcomes;
use crate::ring;
use crate::summary::MAX_DESCRIPTION_BYTES;
use crate::window::Window;

/// The version of the format. Every change of the fields below or of the list of outcomes increments it. Below 128, so that
/// it is one byte.
const VERSION: u32 = 2;

/// The version before candles had buy and quote volume: one-minute candles, in a window of thirty.
const VERSION_1: u32 = 1;

/// The number of bytes of the checksum at the end of the compact form.
const SUM_BYTES: usize = size_of::<u64>();

impl StripeSnapshot {
    /// Returns the compact stored form: one byte of version, the fields in the format of postcard, and a checksum of eight
    /// bytes. A candle takes about 85 bytes.
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
    #[expect(clippy::missing_panics_doc, reason = "serialising plain data to memory does not fail")]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = postcard::to_allocvec(self).expect("plain data serialises to a vector");
        let sum = checksum(&bytes);
        bytes.extend(sum);
        bytes
    }

    /// Decodes the compact stored form. Memory is bounded by a multiple of the length of `bytes`, whatever their content. An
    /// instrument takes at least five bytes stored, and 72 bytes in memory, and a candle 80.
    ///
    /// # Errors
    /// Returns [`SnapshotError::UnknownVersion`] for another version of the format, and [`SnapshotError::Damaged`] if the
    /// bytes are not those that were written.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let truncated = SnapshotError::Damaged { what: "the bytes are truncated" };
        let (version, _) = postcard::take_from_bytes(bytes).map_err(|_| truncated)?;
        if version != VERSION && version != VERSION_1 {
            return Err(SnapshotError::UnknownVersion { version });
        }
        let (fields, sum) = bytes.split_last_chunk::<SUM_BYTES>().ok_or(truncated)?;
        if *sum != checksum(fields) {
            return Err(SnapshotError::Damaged { what: "the checksum does not match" });
        }
        match postcard::take_from_bytes::<StoredStripe>(fields) {
            Ok((stored, [])) => stored.try_into(),
            Ok(_) => Err(SnapshotError::Damaged { what: "bytes follow the last field" }),
            Err(_) => Err(SnapshotError::Damaged { what: "the fields are not readable" }),
        }
    }
}

/// Detects accidental changes. No protection against forgery.
fn checksum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    const SECRETS: RapidSecrets = RapidSecrets::seed(0);
    rapidhash_v3_nano_inline::<true, false>(bytes, &SECRETS).to_le_bytes()
}

/// The stored form of a [`StripeSnapshot`]. The serialised names and the order of the fields are the format.
#[derive(Serialize)]
#[serde(rename = "Part")]
pub(super) struct StoredStripe {
    version: u32,
    seed: u64,
    stripes: u32,
    stripe: u32,
    #[serde(rename = "mark")]
    lsn: u64,
    outcomes: Outcomes,
    interval: u32,
    window: u32,
    #[serde(rename = "listed")]
    instruments: Vec<StoredInstrument<CandleParts>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Instrument")]
struct StoredInstrument<C> {
    id: String,
    description: Option<String>,
    views: u64,
    candles: Vec<C>,
}

impl From<StripeSnapshot> for StoredStripe {
    #[expect(clippy::cast_possible_truncation, reason = "a window has at most 7200 candles")]
    fn from(snapshot: StripeSnapshot) -> Self {
        let store = |instrument: InstrumentSnapshot| StoredInstrument {
            id: instrument.id.as_str().to_owned(),
            description: instrument.description.map(|text| text.as_ref().to_owned()),
            views: instrument.views,
            candles: instrument.candles.iter().map(CandleParts::from).collect(),
        };
        Self {
            version: VERSION,
            seed: snapshot.seed,
            stripes: snapshot.stripes,
            stripe: snapshot.stripe,
            lsn: snapshot.lsn,
            outcomes: snapshot.outcomes,
            interval: snapshot.window.interval().as_seconds(),
            window: snapshot.window.candles() as u32,
            instruments: snapshot.instruments.into_iter().map(store).collect(),
        }
    }
}

impl TryFrom<StoredStripe> for StripeSnapshot {
    type Error = SnapshotError;

    fn try_from(stored: StoredStripe) -> Result<Self, SnapshotError> {
        let is_possible = stored.stripes.is_power_of_two() && stored.stripes as usize <= Config::MAX_STRIPES;
        if !is_possible || stored.stripe >= stored.stripes {
            return Err(SnapshotError::Damaged { what: "the number of the stripe is out of range" });
        }
        let interval = Interval::seconds(stored.interval).ok();
        let window = interval.and_then(|interval| Window::new(interval, stored.window as usize).ok());
        let window = window.ok_or(SnapshotError::Damaged { what: "the interval or the window is out of range" })?;
        let instruments = stored.instruments.into_iter().map(|stored| load(stored, window));
        let instruments = instruments.collect::<Result<Vec<_>, _>>()?;
        if !instruments.is_sorted_by(|a, b| a.id < b.id) {
            return Err(SnapshotError::Damaged { what: "the ids are not in order, or one is repeated" });
        }
        Ok(Self {
            seed: stored.seed,
            stripes: stored.stripes,
            stripe: stored.stripe,
            window,
            lsn: stored.lsn,
            outcomes: stored.outcomes,
            instruments,
        })
    }
}

fn load(stored: StoredInstrument<CandleParts>, window: Window) -> Result<InstrumentSnapshot, SnapshotError> {
    let damaged = |what| SnapshotError::Damaged { what };
    if stored.description.as_ref().is_some_and(|text| text.len() > MAX_DESCRIPTION_BYTES) {
        return Err(damaged("a description is too long"));
    }
    if stored.candles.len() > window.stored() + 1 {
        return Err(damaged("a ring has too many candles"));
    }
    let candles: Option<Vec<_>> = stored.candles.iter().map(|parts| parts.candle(window.interval())).collect();
    let candles = candles.filter(|candles| ring::is_stored_form(window, candles));
    Ok(InstrumentSnapshot {
        id: InstrumentId::new(&stored.id).map_err(|_| damaged("an instrument id is invalid"))?,
        description: stored.description.map(Into::into),
        views: stored.views,
        candles: candles.ok_or(damaged("the candles of a ring are invalid"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregator::Aggregator;

    #[test]
    fn invalid_fields_under_a_right_checksum_are_typed_errors() {
        let aggregator = Aggregator::new(Config::default().with_stripes(1).with_seed(1));
        let valid = postcard::to_allocvec(&aggregator.snapshot().next()).unwrap()[1..].to_vec();
        let read = |fields: &[u8]| StripeSnapshot::decode(&[fields, &checksum(fields)[..]].concat());
        assert!(read(&valid).is_ok());
        let (mut stripes, mut longer) = (valid.clone(), valid.clone());
        assert_eq!(valid[..4], [2, 1, 1, 0]); // version, seed, stripes, stripe
        stripes[2] = 3;
        longer.push(0);
        for (fields, what) in [
            (&stripes[..], "the number of the stripe is out of range"),
            (&longer[..], "bytes follow the last field"),
            (&valid[..valid.len() - 1], "the fields are not readable"),
        ] {
            assert_eq!(read(fields), Err(SnapshotError::Damaged { what }));
        }
    }
}
