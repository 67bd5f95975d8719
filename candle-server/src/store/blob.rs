//! A batch as bytes, and bytes back into an aggregator.

use std::collections::HashMap;

use candle_core::{Aggregator, Config, Prices, Rules, Terms, Tick, Timestamp, Unlisted, Views};
use serde::{Deserialize, Serialize};

use super::Fault;
use crate::journal::{Batch, Entry};

/// Goes up with each change of the form below.
const VERSION: u32 = 1;

/// A batch of writes with the views counted meanwhile, as postcard writes it. Ids are told once; times and sequence
/// numbers are told as the difference from the tick before, which is small.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Blob<'b> {
    version: u32,
    first_mark: u64,
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
    mark: u64,
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
pub(super) fn encode(batch: &Batch, views: &[Views], rules: &Rules) -> Vec<u8> {
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
    let views = views.iter().map(|taken| StoredViews {
        id: ids.number(taken.id.as_str()),
        views: taken.views,
        mark: taken.mark,
    });
    let views = views.collect();
    let rules = StoredRules { any_price: rules.prices() == Prices::Any, max_ahead_micros: rules.max_ahead_micros() };
    let blob = Blob { version: VERSION, first_mark: batch.first_mark(), rules, ids: ids.ids, entries, views };
    postcard::to_allocvec(&blob).expect("plain data in a growing vector")
}

/// What a replay got to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    /// The position after the last write.
    pub(super) next_mark: u64,
    /// How many ticks there were, those that a stripe had seen already included.
    pub(super) ticks: u64,
}

/// The batch that these bytes are of.
pub(super) fn decode(bytes: &[u8]) -> Result<Blob<'_>, Fault> {
    let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(|_| damaged())?;
    if version != VERSION {
        return Err(Fault::Newer { format: version.into() });
    }
    postcard::from_bytes(bytes).map_err(|_| damaged())
}

fn damaged() -> Fault {
    Fault::Damaged("a batch of writes can't be read".to_owned())
}

/// Does again what the stripes of `aggregator` had not seen of a batch when their snapshots were taken, under the rules and
/// limits of then. `marks` are the snapshots', by stripe.
///
/// Whether an instrument was listed when there was no room for all is in the batch already; so that it is not decided
/// again there is room without a limit meanwhile.
pub(super) fn replay(aggregator: &mut Aggregator, marks: &[u64], blob: &Blob<'_>) -> Result<Replayed, Fault> {
    let prices = if blob.rules.any_price { Prices::Any } else { Prices::Positive };
    let rules = Rules::DEFAULT.with_prices(prices).with_max_ahead_micros(blob.rules.max_ahead_micros);
    let config = aggregator.config().with_rules(rules).with_max_instruments(Config::MAX_INSTRUMENTS_LIMIT);
    aggregator.reconfigure(config);
    Replay::new(aggregator, marks, blob).run(blob).ok_or_else(damaged)
}

/// One batch being replayed.
struct Replay<'a> {
    aggregator: &'a Aggregator,
    /// By the number of an id: the highest mark that is in the snapshot of its stripe.
    seen: Vec<u64>,
    mark: u64,
    ticks: u64,
    time: i64,
    seq: u64,
}

impl<'a> Replay<'a> {
    fn new(aggregator: &'a Aggregator, marks: &[u64], blob: &Blob<'_>) -> Self {
        let seen = blob.ids.iter().map(|id| marks[aggregator.part_of(id) as usize]).collect();
        Self { aggregator, seen, mark: blob.first_mark, ticks: 0, time: 0, seq: 0 }
    }

    /// `None` where a number has no id, or a time is none.
    fn run(mut self, blob: &Blob<'_>) -> Option<Replayed> {
        let mut views: HashMap<u32, &StoredViews> = blob.views.iter().map(|views| (views.id, views)).collect();
        for entry in &blob.entries {
            match entry {
                StoredEntry::List { id, description } => {
                    let name = blob.ids.get(*id as usize)?;
                    if self.is_new(*id)? {
                        self.aggregator.list_marked(name, *description, self.mark).ok()?;
                    }
                }
                StoredEntry::Delist { id } => {
                    let name = blob.ids.get(*id as usize)?;
                    if self.is_new(*id)? {
                        self.aggregator.delist_marked(name, self.mark);
                    }
                    // Counted before, of an instrument that is gone.
                    if views.get(id).is_some_and(|views| views.mark < self.mark) {
                        views.remove(id);
                    }
                }
                StoredEntry::Clear => self.aggregator.clear_candles(self.mark),
                StoredEntry::Ticks { now, lists, ticks } => {
                    self.ticks(blob, Timestamp::from_micros(*now)?, *lists, ticks)?;
                    continue;
                }
            }
            self.mark = self.mark.checked_add(1)?;
        }
        for (id, views) in views {
            let name = blob.ids.get(id as usize)?;
            if views.mark >= *self.seen.get(id as usize)? {
                self.aggregator.raise_views(name, views.views);
            }
        }
        Some(Replayed { next_mark: self.mark, ticks: self.ticks })
    }

    /// Whether the stripe of an id has not seen the write at hand.
    fn is_new(&self, id: u32) -> Option<bool> {
        Some(self.mark > *self.seen.get(id as usize)?)
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
            self.mark = self.mark.checked_add(1)?;
        }
        self.ticks += ticks.len() as u64;
        // The run's last positions: where some are left out these are later than their own, but no later than the run, of
        // which nobody sees a part.
        let mark = self.mark - run.len() as u64;
        let unlisted = if lists { Unlisted::List } else { Unlisted::Reject };
        // Each was judged when it came; what came of it is in the stripes' counts.
        let _ = self.aggregator.record_batch(&run, Terms { mark, unlisted, ..Terms::from(now) });
        Some(())
    }
}
