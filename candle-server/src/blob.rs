//! A batch as bytes, and bytes back into an aggregator: what a store keeps, and what travels between machines.

use std::collections::HashMap;
use std::fmt;

use candle_core::replication::ViewTotal;
use candle_core::{Aggregator, Arrival, Outcomes, Prices, RecordContext, Rules, Tick, Timestamp, Unlisted};
use serde::{Deserialize, Serialize};

use crate::journal::{Batch, Entry};

/// Goes up with each change of the form below.
const VERSION: u32 = 1;

/// A batch of writes with the views counted meanwhile, as postcard writes it. Ids are told once; times and sequence
/// numbers are told as the difference from the tick before, which is small.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Blob<'b> {
    version: u32,
    first_lsn: u64,
    rules: StoredRules,
    #[serde(borrow)]
    ids: Vec<&'b str>,
    entries: Vec<StoredEntry<'b>>,
    views: Vec<StoredViews>,
}

/// The rules by which ticks were judged: the next process may have others.
#[derive(Debug, Serialize, Deserialize)]
struct StoredRules {
    any_price: bool,
    max_ahead_micros: i64,
}

#[derive(Debug, Serialize, Deserialize)]
enum StoredEntry<'b> {
    List { id: u32, description: Option<&'b str> },
    Delist { id: u32 },
    Clear,
    Ticks { now: i64, lists: bool, ticks: Vec<StoredTick> },
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredTick {
    id: u32,
    time: i64,
    seq: i64,
    price: f64,
    /// Most feeds tell no size.
    size: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredViews {
    id: u32,
    views: u64,
    lsn: u64,
}

/// ViewTotal of one instrument; the lsn is that of its stripe when they were counted.
#[cfg(feature = "nats")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Viewed<'b> {
    pub(crate) id: &'b str,
    pub(crate) views: u64,
    pub(crate) lsn: u64,
}

/// What tells which ticks an instrument has.
#[cfg(feature = "nats")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum OfTicks<'b> {
    /// One more, judged under this `now`.
    Tick(&'b str, Tick, Timestamp),
    /// None any more: it was delisted.
    Delist(&'b str),
    /// None has any more.
    Clear,
}

/// Numbers ids in the order of their first use.
#[derive(Default)]
struct Ids<'b> {
    numbers: HashMap<&'b str, u32>,
    ids: Vec<&'b str>,
}

impl<'b> Ids<'b> {
    fn number(&mut self, id: &'b str) -> u32 {
        *self.numbers.entry(id).or_insert_with(|| {
            self.ids.push(id);
            u32::try_from(self.ids.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

/// The bytes of `batch`, whose ticks were judged by `rules`, and of the views that were counted meanwhile.
pub(crate) fn encode(batch: &Batch, views: &[ViewTotal], rules: &Rules) -> Vec<u8> {
    let mut ids = Ids::default();
    let mut ticks = batch.ticks_in_order().iter();
    let (mut time, mut seq) = (0_i64, 0_u64);
    let mut entries = Vec::with_capacity(batch.entries().len());
    for entry in batch.entries() {
        entries.push(match *entry {
            Entry::List { id, description } => StoredEntry::List {
                id: ids.number(batch.text(id)),
                description: description.map(|description| batch.text(description)),
            },
            Entry::Delist { id } => StoredEntry::Delist { id: ids.number(batch.text(id)) },
            Entry::Clear => StoredEntry::Clear,
            Entry::Ticks { count, now, unlisted } => {
                let run = ticks.by_ref().take(count as usize).map(|(id, tick)| {
                    let micros = tick.time.as_micros();
                    let stored = StoredTick {
                        id: ids.number(batch.text(*id)),
                        time: micros.wrapping_sub(time),
                        seq: tick.seq.wrapping_sub(seq).cast_signed(),
                        price: tick.price,
                        size: (tick.size.to_bits() != 0).then_some(tick.size),
                    };
                    (time, seq) = (micros, tick.seq);
                    stored
                });
                StoredEntry::Ticks { now: now.as_micros(), lists: unlisted == Unlisted::List, ticks: run.collect() }
            }
        });
    }
    let views =
        views.iter().map(|taken| StoredViews { id: ids.number(taken.id.as_str()), views: taken.views, lsn: taken.lsn });
    let views = views.collect();
    let rules = StoredRules { any_price: rules.prices() == Prices::Any, max_ahead_micros: rules.max_ahead_micros() };
    let blob = Blob { version: VERSION, first_lsn: batch.first_lsn(), rules, ids: ids.ids, entries, views };
    postcard::to_allocvec(&blob).expect("plain data in a growing vector")
}

/// Why bytes are no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// They are not what was written.
    Damaged,
    /// A later version wrote them.
    Newer {
        /// The version they name.
        version: u32,
    },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("a batch of writes can't be read"),
            Self::Newer { version } => {
                write!(f, "a batch of writes has version {version}, which a later version wrote")
            }
        }
    }
}

/// What a replay got to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// The position after the last write.
    pub(crate) next_lsn: u64,
    /// What became of the ticks, but for those that a stripe had seen already.
    pub(crate) outcomes: Outcomes,
}

impl<'b> Blob<'b> {
    /// What these bytes say.
    pub(crate) fn decode(bytes: &'b [u8]) -> Result<Self, Unreadable> {
        let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(|_| Unreadable::Damaged)?;
        if version != VERSION {
            return Err(Unreadable::Newer { version });
        }
        postcard::from_bytes(bytes).map_err(|_| Unreadable::Damaged)
    }

    /// The position of the first write in the log of whoever wrote it.
    #[cfg(feature = "store")]
    pub(crate) const fn first_lsn(&self) -> u64 {
        self.first_lsn
    }

    /// The rules by which its ticks were judged.
    pub(crate) const fn rules(&self) -> Rules {
        let prices = if self.rules.any_price { Prices::Any } else { Prices::Positive };
        Rules::DEFAULT.with_prices(prices).with_max_ahead_micros(self.rules.max_ahead_micros)
    }

    /// How many ticks there are.
    pub(crate) fn ticks(&self) -> usize {
        let count =
            |entry: &StoredEntry<'_>| if let StoredEntry::Ticks { ticks, .. } = entry { ticks.len() } else { 0 };
        self.entries.iter().map(count).sum()
    }

    /// How many writes there are, each tick one.
    #[cfg(feature = "nats")]
    pub(crate) fn writes(&self) -> usize {
        self.entries.len() + self.ticks()
    }

    /// The ids of instruments that it delists, with how many writes come before.
    #[cfg(feature = "nats")]
    pub(crate) fn delisted(&self) -> impl Iterator<Item = (u64, &'b str)> {
        let mut place = 0;
        self.entries.iter().filter_map(move |entry| {
            let at = place;
            place += if let StoredEntry::Ticks { ticks, .. } = entry { ticks.len() as u64 } else { 1 };
            match entry {
                StoredEntry::Delist { id } => Some((at, *self.ids.get(*id as usize)?)),
                _ => None,
            }
        })
    }

    /// Whether it forgets all candles somewhere.
    #[cfg(feature = "nats")]
    pub(crate) fn clears(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, StoredEntry::Clear))
    }

    /// Calls `each` for whatever tells which ticks there have been, in its order.
    #[cfg(feature = "nats")]
    pub(crate) fn each_of_ticks(&self, mut each: impl FnMut(OfTicks<'b>)) {
        let (mut time, mut seq) = (0_i64, 0_u64);
        for entry in &self.entries {
            let (now, ticks) = match entry {
                StoredEntry::Ticks { now, ticks, .. } => (now, ticks),
                StoredEntry::Clear => {
                    each(OfTicks::Clear);
                    continue;
                }
                StoredEntry::Delist { id } => {
                    self.ids.get(*id as usize).into_iter().for_each(|id| each(OfTicks::Delist(id)));
                    continue;
                }
                StoredEntry::List { .. } => continue,
            };
            for stored in ticks {
                time = time.wrapping_add(stored.time);
                seq = seq.wrapping_add(stored.seq.cast_unsigned());
                let parts =
                    (self.ids.get(stored.id as usize), Timestamp::from_micros(time), Timestamp::from_micros(*now));
                if let (Some(id), Some(time), Some(now)) = parts {
                    each(OfTicks::Tick(id, Tick::new(time, stored.price).with_seq(seq), now));
                }
            }
        }
    }

    /// The views that it tells.
    #[cfg(feature = "nats")]
    pub(crate) fn views(&self) -> impl Iterator<Item = Viewed<'b>> {
        self.views.iter().filter_map(|stored| {
            Some(Viewed { id: self.ids.get(stored.id as usize)?, views: stored.views, lsn: stored.lsn })
        })
    }

    /// Does again what the stripes of `aggregator` had not seen of it when their snapshots were taken; `lsns` are those of
    /// the snapshots, by stripe. Its first write is at `first_lsn`, and its ticks arrive at `arrival`.
    ///
    /// The aggregator has the rules of the batch, and room without limit: whether an instrument was listed when there was
    /// no room for all is in the batch already, and is not decided again.
    ///
    /// Calls `between` after each entry, with how many writes have been done.
    pub(crate) fn replay(
        &self,
        aggregator: &Aggregator,
        lsns: &[u64],
        first_lsn: u64,
        arrival: Arrival,
        mut between: impl FnMut(u64),
    ) -> Result<Replayed, Unreadable> {
        let replay = Replay::new(aggregator, lsns, self, first_lsn, arrival);
        replay.run(self, |lsn| between(lsn - first_lsn)).ok_or(Unreadable::Damaged)
    }
}

/// One batch being replayed.
struct Replay<'a> {
    aggregator: &'a Aggregator,
    arrival: Arrival,
    /// By the number of an id: the highest lsn that is in the snapshot of its stripe.
    seen: Vec<u64>,
    lsn: u64,
    outcomes: Outcomes,
    time: i64,
    seq: u64,
}

impl<'a> Replay<'a> {
    fn new(aggregator: &'a Aggregator, lsns: &[u64], blob: &Blob<'_>, lsn: u64, arrival: Arrival) -> Self {
        let seen = blob.ids.iter().map(|id| lsns[aggregator.stripe_of(id) as usize]).collect();
        Self { aggregator, arrival, seen, lsn, outcomes: Outcomes::default(), time: 0, seq: 0 }
    }

    /// `None` where a number has no id, or a time is none.
    fn run(mut self, blob: &Blob<'_>, mut reached: impl FnMut(u64)) -> Option<Replayed> {
        let mut views: HashMap<u32, &StoredViews> = blob.views.iter().map(|views| (views.id, views)).collect();
        for entry in &blob.entries {
            match entry {
                StoredEntry::List { id, description } => {
                    let name = blob.ids.get(*id as usize)?;
                    if self.is_new(*id)? {
                        self.aggregator.at_lsn(self.lsn).list(name, *description).ok()?;
                    }
                }
                StoredEntry::Delist { id } => {
                    let name = blob.ids.get(*id as usize)?;
                    if self.is_new(*id)? {
                        self.aggregator.at_lsn(self.lsn).delist(name);
                    }
                    // Counted before, of an instrument that is gone.
                    if views.get(id).is_some_and(|views| views.lsn < self.lsn) {
                        views.remove(id);
                    }
                }
                StoredEntry::Clear => self.aggregator.at_lsn(self.lsn).clear_candles(),
                StoredEntry::Ticks { now, lists, ticks } => {
                    self.ticks(blob, Timestamp::from_micros(*now)?, *lists, ticks)?;
                    reached(self.lsn);
                    continue;
                }
            }
            self.lsn = self.lsn.checked_add(1)?;
            reached(self.lsn);
        }
        for (id, views) in views {
            let name = blob.ids.get(id as usize)?;
            if views.lsn >= *self.seen.get(id as usize)? {
                self.aggregator.raise_views(name, views.views);
            }
        }
        Some(Replayed { next_lsn: self.lsn, outcomes: self.outcomes })
    }

    /// Whether the stripe of an id has not seen the write at hand.
    fn is_new(&self, id: u32) -> Option<bool> {
        Some(self.lsn > *self.seen.get(id as usize)?)
    }

    fn ticks(&mut self, blob: &Blob<'_>, now: Timestamp, lists: bool, ticks: &[StoredTick]) -> Option<()> {
        let mut run: Vec<(&str, Tick)> = Vec::with_capacity(ticks.len());
        for stored in ticks {
            self.time = self.time.wrapping_add(stored.time);
            self.seq = self.seq.wrapping_add(stored.seq.cast_unsigned());
            if self.is_new(stored.id)? {
                let tick = Tick::new(Timestamp::from_micros(self.time)?, stored.price);
                let id = blob.ids.get(stored.id as usize)?;
                run.push((id, tick.with_size(stored.size.unwrap_or(0.0)).with_seq(self.seq)));
            }
            self.lsn = self.lsn.checked_add(1)?;
        }
        // The run's last positions: where some are left out these are later than their own, but no later than the run, of
        // which nobody sees a part.
        let lsn = self.lsn - run.len() as u64;
        let unlisted = if lists { Unlisted::List } else { Unlisted::Reject };
        let context = RecordContext { lsn, unlisted, arrival: self.arrival, ..RecordContext::from(now) };
        self.outcomes.merge(&self.aggregator.record_batch(&run, context));
        Some(())
    }
}
