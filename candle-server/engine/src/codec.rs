//! Encodes and decodes a batch of writes. The log of the store and the messages of the cluster use this encoding.
//!
//! The format is postcard, with a version in the first field. Each id is written once, and writes refer to the ids by
//! number. Times and sequence numbers are written as differences from the previous tick, because small numbers need
//! fewer bytes. Each write has one log sequence number (LSN), or one for each of its ticks.

use std::collections::HashMap;
use std::fmt;

use candle_core::replication::ViewTotal;
use candle_core::{Prices, Rules, Tick, Timestamp, Unlisted};
use serde::{Deserialize, Serialize};

use crate::journal::{Batch, TickContext, Write};

/// The version of the format. Every change of the format increases this number.
const VERSION: u32 = 1;

/// A decoded batch of writes, with the view counts that changed.
///
/// ```
/// use candle_core::Rules;
/// use candle_engine::codec::{Record, encode};
/// use candle_engine::journal::{Batch, Write};
///
/// let mut batch = Batch::new(1);
/// batch.push(Write::List { id: "BTC", description: None });
/// let bytes = encode(&batch, &[], &Rules::DEFAULT);
/// assert_eq!(Record::decode(&bytes)?.to_batch(), batch);
/// # Ok::<(), candle_engine::codec::DecodeError>(())
/// ```
#[derive(Debug, Serialize, Deserialize)]
pub struct Record<'b> {
    version: u32,
    pub(crate) first_lsn: u64,
    rules: StoredRules,
    #[serde(borrow)]
    pub(crate) ids: Vec<&'b str>,
    pub(crate) writes: Vec<StoredWrite<'b>>,
    pub(crate) views: Vec<StoredViews>,
}

/// The rules that validated the ticks. They are stored because the next process may have other rules.
#[derive(Debug, Serialize, Deserialize)]
struct StoredRules {
    any_price: bool,
    max_ahead_micros: i64,
}

/// The stored form of a [`Write`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum StoredWrite<'b> {
    List { id: u32, description: Option<&'b str> },
    Delist { id: u32 },
    Clear,
    Ticks { now: i64, lists: bool, ticks: Vec<StoredTick> },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredTick {
    pub(crate) id: u32,
    time: i64,
    seq: i64,
    price: f64,
    /// The size; `None` means zero. Most feeds send no size, so their ticks are shorter.
    size: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredViews {
    pub(crate) id: u32,
    pub(crate) views: u64,
    pub(crate) lsn: u64,
}

/// The number of views of one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedViews<'b> {
    /// The id of the instrument.
    pub id: &'b str,
    /// The number of views.
    pub views: u64,
    /// The highest log sequence number that the instrument's stripe contained when the views were counted.
    pub lsn: u64,
}

/// Encodes ticks as differences from the previous tick, and decodes such differences.
#[derive(Default)]
pub(crate) struct Delta {
    time: i64,
    seq: u64,
}

impl Delta {
    fn encode(&mut self, id: u32, tick: &Tick) -> StoredTick {
        let micros = tick.time.as_micros();
        let stored = StoredTick {
            id,
            time: micros.wrapping_sub(self.time),
            seq: tick.seq.wrapping_sub(self.seq).cast_signed(),
            price: tick.price,
            size: (tick.size.to_bits() != 0).then_some(tick.size),
        };
        (self.time, self.seq) = (micros, tick.seq);
        stored
    }

    /// Decodes the next tick. Returns `None` if its time is outside the years 1 to 9999.
    pub(crate) fn decode(&mut self, stored: &StoredTick) -> Option<Tick> {
        self.time = self.time.wrapping_add(stored.time);
        self.seq = self.seq.wrapping_add(stored.seq.cast_unsigned());
        let time = Timestamp::from_micros(self.time)?;
        Some(Tick::new(time, stored.price).with_size(stored.size.unwrap_or(0.0)).with_seq(self.seq))
    }
}

/// The number of each id. Ids are numbered in the order of their first use.
#[derive(Default)]
struct IdTable<'b> {
    numbers: HashMap<&'b str, u32>,
    ids: Vec<&'b str>,
}

impl<'b> IdTable<'b> {
    fn number(&mut self, id: &'b str) -> u32 {
        *self.numbers.entry(id).or_insert_with(|| {
            self.ids.push(id);
            u32::try_from(self.ids.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

/// Encodes `batch` and the view counts `views`. `rules` are the rules that validated the ticks.
#[expect(clippy::missing_panics_doc, reason = "writing plain data to memory does not fail")]
pub fn encode(batch: &Batch, views: &[ViewTotal], rules: &Rules) -> Vec<u8> {
    let mut ids = IdTable::default();
    let mut delta = Delta::default();
    let writes = batch.writes().map(|write| StoredWrite::from_write(write, &mut ids, &mut delta)).collect();
    let views =
        views.iter().map(|total| StoredViews { id: ids.number(total.id.as_str()), views: total.views, lsn: total.lsn });
    let views = views.collect();
    let rules = StoredRules { any_price: rules.prices() == Prices::Any, max_ahead_micros: rules.max_ahead_micros() };
    let record = Record { version: VERSION, first_lsn: batch.first_lsn(), rules, ids: ids.ids, writes, views };
    postcard::to_allocvec(&record).expect("plain data in a growing vector")
}

impl<'b> StoredWrite<'b> {
    fn from_write(write: Write<'b>, ids: &mut IdTable<'b>, delta: &mut Delta) -> Self {
        match write {
            Write::List { id, description } => Self::List { id: ids.number(id), description },
            Write::Delist { id } => Self::Delist { id: ids.number(id) },
            Write::Clear => Self::Clear,
            Write::Ticks(run) => Self::Ticks {
                now: run.context.now.as_micros(),
                lists: run.context.unlisted == Unlisted::List,
                ticks: run.iter().map(|(id, tick)| delta.encode(ids.number(id), &tick)).collect(),
            },
        }
    }

    /// Returns the number of log sequence numbers that the write uses.
    const fn lsns(&self) -> usize {
        match self {
            Self::Ticks { ticks, .. } => ticks.len(),
            Self::List { .. } | Self::Delist { .. } | Self::Clear => 1,
        }
    }
}

/// The reason why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes are damaged.
    Damaged,
    /// A later version of the program wrote the bytes.
    Newer {
        /// The version of the format.
        version: u32,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("a batch of writes can't be read"),
            Self::Newer { version } => {
                write!(f, "a batch of writes has format {version}, which a later version of the program wrote")
            }
        }
    }
}

impl std::error::Error for DecodeError {}

impl<'b> Record<'b> {
    /// Decodes a record.
    ///
    /// # Errors
    /// Returns a [`DecodeError`] if the bytes are damaged, or if a later version of the program wrote them.
    pub fn decode(bytes: &'b [u8]) -> Result<Self, DecodeError> {
        let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(|_| DecodeError::Damaged)?;
        if version != VERSION {
            return Err(DecodeError::Newer { version });
        }
        postcard::from_bytes(bytes).map_err(|_| DecodeError::Damaged)
    }

    /// Returns the log sequence number of the first write.
    pub const fn first_lsn(&self) -> u64 {
        self.first_lsn
    }

    /// Returns the rules that validated the ticks.
    pub const fn rules(&self) -> Rules {
        let prices = if self.rules.any_price { Prices::Any } else { Prices::Positive };
        Rules::DEFAULT.with_prices(prices).with_max_ahead_micros(self.rules.max_ahead_micros)
    }

    /// Returns the number of ticks.
    pub fn ticks(&self) -> usize {
        let ticks =
            |write: &StoredWrite<'_>| if let StoredWrite::Ticks { ticks, .. } = write { ticks.len() } else { 0 };
        self.writes.iter().map(ticks).sum()
    }

    /// Returns the number of writes plus the number of ticks: a run of n ticks counts as n + 1.
    pub fn writes(&self) -> usize {
        self.writes.len() + self.ticks()
    }

    /// Returns the ids that the record delists, each with the number of log sequence numbers before the delisting.
    pub fn delisted(&self) -> impl Iterator<Item = (u64, &'b str)> {
        let mut next = 0;
        self.writes.iter().filter_map(move |write| {
            let offset = next;
            next += write.lsns() as u64;
            match write {
                StoredWrite::Delist { id } => Some((offset, *self.ids.get(*id as usize)?)),
                _ => None,
            }
        })
    }

    /// Returns true if a write of the record clears all candles.
    pub fn clears(&self) -> bool {
        self.writes.iter().any(|write| matches!(write, StoredWrite::Clear))
    }

    /// Converts the record into a batch. Damaged ticks and ids are dropped.
    pub fn to_batch(&self) -> Batch {
        let mut batch = Batch::new(self.first_lsn);
        let mut delta = Delta::default();
        let id = |number: u32| self.ids.get(number as usize).copied();
        for write in &self.writes {
            match write {
                StoredWrite::List { id: number, description } => {
                    id(*number).into_iter().for_each(|id| batch.push(Write::List { id, description: *description }));
                }
                StoredWrite::Delist { id: number } => {
                    id(*number).into_iter().for_each(|id| batch.push(Write::Delist { id }));
                }
                StoredWrite::Clear => batch.push(Write::Clear),
                StoredWrite::Ticks { now, lists, ticks } => {
                    let ticks = ticks.iter().filter_map(|stored| {
                        let tick = delta.decode(stored);
                        id(stored.id).zip(tick)
                    });
                    let ticks: Vec<(&str, Tick)> = ticks.collect();
                    let unlisted = if *lists { Unlisted::List } else { Unlisted::Reject };
                    if let Some(now) = Timestamp::from_micros(*now) {
                        batch.push_ticks(ticks, TickContext { now, unlisted });
                    }
                }
            }
        }
        batch
    }

    /// Returns the recorded view counts.
    pub fn views(&self) -> impl Iterator<Item = RecordedViews<'b>> {
        self.views.iter().filter_map(|stored| {
            Some(RecordedViews { id: self.ids.get(stored.id as usize)?, views: stored.views, lsn: stored.lsn })
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::InstrumentId;

    use super::*;

    #[test]
    fn a_batch_is_encoded_as_the_recorded_bytes() {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let mut batch = Batch::new(7);
        batch.push(Write::List { id: "a", description: Some("first") });
        let ticks = [
            ("a", Tick::new(at(1_600_000_000_000_000), 1.5).with_seq(3)),
            ("b", Tick::new(at(1_600_000_000_000_250), 2.25).with_seq(2).with_size(0.5)),
        ];
        let context = TickContext { now: at(1_600_000_000_000_300), unlisted: Unlisted::List };
        batch.push_ticks(ticks, context);
        batch.push(Write::Delist { id: "a" });
        batch.push(Write::Clear);
        let views = [ViewTotal { id: InstrumentId::new("b").unwrap(), views: 300, lsn: 9 }];
        let bytes = encode(&batch, &views, &Rules::DEFAULT.with_prices(Prices::Any));
        assert_eq!(bytes, RECORDED);
        assert_eq!(Record::decode(&bytes).unwrap().to_batch(), batch);
    }

    /// The bytes that version 0.1.0 of the server wrote for the batch of the test.
    const RECORDED: &[u8] = &[
        1, 7, 1, 128, 173, 226, 4, 2, 1, 97, 1, 98, 4, 0, 0, 1, 5, 102, 105, 114, 115, 116, 3, 216, 132, 160, 250, 160,
        204, 215, 5, 1, 2, 0, 128, 128, 160, 250, 160, 204, 215, 5, 6, 0, 0, 0, 0, 0, 0, 248, 63, 0, 1, 244, 3, 1, 0,
        0, 0, 0, 0, 0, 2, 64, 1, 0, 0, 0, 0, 0, 0, 224, 63, 1, 0, 2, 1, 1, 172, 2, 9,
    ];
}
