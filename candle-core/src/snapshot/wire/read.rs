//! Reading every version of the stored form, in formats with and without names of fields.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{StoredInstrument, StoredStripe, VERSION, VERSION_1};
use crate::candle::stored::{AnyCandleParts, CandleParts, CandlePartsV1};
use crate::interval::Interval;
use crate::outcome::Outcomes;
use crate::snapshot::SnapshotError;
use crate::window::Window;

const FIELDS: [&str; 9] = ["version", "seed", "stripes", "stripe", "mark", "outcomes", "interval", "window", "listed"];

impl<'de> Deserialize<'de> for StoredStripe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Part", &FIELDS, StripeVisitor)
    }
}

struct StripeVisitor;

impl<'de> Visitor<'de> for StripeVisitor {
    type Value = StoredStripe;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the snapshot of a stripe")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<StoredStripe, A::Error> {
        let mut read = PartialStripe { version: Some(supported(next(&mut fields)?)?), ..PartialStripe::default() };
        for field in &FIELDS[1..FIELDS.len() - 1] {
            if read.has(field) {
                read.field(field, &mut InSequence(&mut fields))?;
            }
        }
        let instruments = match read.version {
            Some(VERSION_1) => converted(next(&mut fields)?, CandlePartsV1::upgraded)?,
            _ => next(&mut fields)?,
        };
        read.finish(instruments)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<StoredStripe, A::Error> {
        // Fields come in any order, so the version of the candles may not be known yet.
        let (mut read, mut listed) = (PartialStripe::default(), None::<Vec<StoredInstrument<AnyCandleParts>>>);
        while let Some(name) = fields.next_key::<String>()? {
            if name == "version" {
                read.version = Some(supported(fields.next_value()?)?);
            } else if name == "listed" {
                listed = Some(fields.next_value()?);
            } else if FIELDS.contains(&name.as_str()) {
                read.field(&name, &mut InMap(&mut fields))?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        let listed = listed.ok_or_else(|| A::Error::missing_field("listed"))?;
        let instruments = match read.version {
            Some(VERSION_1) => converted(listed, |parts| parts.version_1()?.upgraded())?,
            _ => converted(listed, AnyCandleParts::current)?,
        };
        read.finish(instruments)
    }
}

/// Returns the version if this library can read it.
fn supported<E: Error>(version: u32) -> Result<u32, E> {
    match version {
        VERSION | VERSION_1 => Ok(version),
        version => Err(E::custom(SnapshotError::UnknownVersion { version })),
    }
}

/// The value of the field that comes next.
trait NextValue<'de> {
    type Error: Error;

    fn next<T: Deserialize<'de>>(&mut self) -> Result<T, Self::Error>;
}

struct InSequence<'a, A>(&'a mut A);

impl<'de, A: SeqAccess<'de>> NextValue<'de> for InSequence<'_, A> {
    type Error = A::Error;

    fn next<T: Deserialize<'de>>(&mut self) -> Result<T, A::Error> {
        next(self.0)
    }
}

struct InMap<'a, A>(&'a mut A);

impl<'de, A: MapAccess<'de>> NextValue<'de> for InMap<'_, A> {
    type Error = A::Error;

    fn next<T: Deserialize<'de>>(&mut self) -> Result<T, A::Error> {
        self.0.next_value()
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(fields: &mut A) -> Result<T, A::Error> {
    fields.next_element()?.ok_or_else(|| A::Error::custom("the snapshot lacks a field"))
}

/// The fields that were read so far.
#[derive(Default)]
struct PartialStripe {
    version: Option<u32>,
    seed: Option<u64>,
    stripes: Option<u32>,
    stripe: Option<u32>,
    lsn: Option<u64>,
    outcomes: Option<Outcomes>,
    interval: Option<u32>,
    window: Option<u32>,
}

impl PartialStripe {
    /// Returns true if the version has this field.
    fn has(&self, field: &str) -> bool {
        self.version != Some(VERSION_1) || !["interval", "window"].contains(&field)
    }

    fn field<'de, N: NextValue<'de>>(&mut self, field: &str, value: &mut N) -> Result<(), N::Error> {
        match field {
            "seed" => self.seed = Some(value.next()?),
            "stripes" => self.stripes = Some(value.next()?),
            "stripe" => self.stripe = Some(value.next()?),
            "mark" => self.lsn = Some(value.next()?),
            "outcomes" => self.outcomes = Some(value.next()?),
            "interval" => self.interval = Some(value.next()?),
            "window" => self.window = Some(value.next()?),
            _ => unreachable!("the other fields are read by the visitor"),
        }
        Ok(())
    }

    fn finish<E: Error>(self, instruments: Vec<StoredInstrument<CandleParts>>) -> Result<StoredStripe, E> {
        let lacks = |field| move || E::missing_field(field);
        let is_old = self.version == Some(VERSION_1);
        let default = |value: u32| is_old.then_some(value);
        Ok(StoredStripe {
            version: self.version.ok_or_else(lacks("version"))?,
            seed: self.seed.ok_or_else(lacks("seed"))?,
            stripes: self.stripes.ok_or_else(lacks("stripes"))?,
            stripe: self.stripe.ok_or_else(lacks("stripe"))?,
            lsn: self.lsn.ok_or_else(lacks("mark"))?,
            outcomes: self.outcomes.ok_or_else(lacks("outcomes"))?,
            interval: default(Interval::MINUTE.as_seconds()).or(self.interval).ok_or_else(lacks("interval"))?,
            window: default(WINDOW_1).or(self.window).ok_or_else(lacks("window"))?,
            instruments,
        })
    }
}

/// The length of the window in version 1.
const WINDOW_1: u32 = 30;
const _: () = assert!(Window::DEFAULT.candles() == WINDOW_1 as usize);

/// Converts the candles of every instrument.
fn converted<C, E: Error>(
    instruments: Vec<StoredInstrument<C>>,
    convert: impl Fn(&C) -> Option<CandleParts>,
) -> Result<Vec<StoredInstrument<CandleParts>>, E> {
    let converted = |stored: StoredInstrument<C>| {
        Some(StoredInstrument {
            id: stored.id,
            description: stored.description,
            views: stored.views,
            candles: stored.candles.iter().map(&convert).collect::<Option<_>>()?,
        })
    };
    let damaged = SnapshotError::Damaged { what: "the candles of a ring are invalid" };
    instruments.into_iter().map(converted).collect::<Option<_>>().ok_or_else(|| E::custom(damaged))
}
