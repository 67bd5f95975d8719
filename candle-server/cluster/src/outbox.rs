//! The outbox of a gateway: writes that are not in the log yet. The size of the outbox is limited.

mod compact;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use candle_core::{Rules, Tick, Timestamp};
use candle_engine::clock::is_restart;
use candle_engine::journal::{Batch, Write};

use compact::{Compacted, Compactor, Listings};

use crate::dedup::SequenceRestarts;
use crate::follower::Follower;
use crate::message::FIRST_ARRIVAL_SEQ;

/// The largest size of an outbox, in bytes.
///
/// The outbox has room for two million ticks with short ids, which is 20 s at 100,000 ticks/s. Brokers that elect a
/// leader store no message for 4 to 7 s.
pub(crate) const MAX_OUTBOX_BYTES: usize = 128 << 20;

/// The approximate size of a full chunk, in bytes: three quarters of the default limit of the broker.
///
/// The encoded message is hardly longer than its chunk. The last run of ticks in a chunk can exceed this size.
pub(crate) const CHUNK_BYTES: usize = 768 << 10;

/// The time after which no more writes are added to a chunk.
///
/// A chunk is dropped only as a whole. With a longer time, a standby could buffer a delisting that is no
/// longer recent in its follower.
const CHUNK_DURATION: Duration = Duration::from_secs(5);

/// The most ticks in one run. Runs are short, so that a chunk exceeds its limit only slightly.
const RUN: usize = 512;

/// A queue of writes in chunks. Each chunk becomes one message.
#[derive(Debug)]
pub(crate) struct Outbox {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Chunk {
    batch: Batch,
    /// The time of the first write, since the start of the server.
    since: Duration,
    /// The time of the last write, since the start of the server.
    until: Duration,
    state: ChunkState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    /// Further writes can be added to the chunk.
    Open,
    /// The chunk is being published. Further writes would be lost, because they are not in its message.
    Sealed,
}

/// The ticks that were removed because the outbox was full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reclaimed {
    /// The number of ticks that compaction removed. The prices of their minutes are correct, but count and volume are
    /// not.
    pub(crate) compacted: usize,
    /// The number of ticks that were dropped after compaction.
    pub(crate) dropped: usize,
    /// The latest time among the dropped ticks.
    pub(crate) dropped_until: Option<Timestamp>,
}

impl Outbox {
    /// Creates an empty outbox that is limited to `max_bytes` bytes.
    pub(crate) const fn new(max_bytes: usize) -> Self {
        Self { chunks: VecDeque::new(), bytes: 0, max_bytes }
    }

    /// Adds the writes of `batch`. `now` is the time since the start of the server.
    pub(crate) fn push(&mut self, batch: &Batch, now: Duration) {
        for write in batch.writes() {
            let Write::Ticks(ticks) = write else {
                self.with_last(now, |batch| batch.push(write));
                continue;
            };
            for run in ticks.chunks(RUN) {
                self.with_last(now, |batch| batch.push(Write::Ticks(run)));
            }
        }
    }

    /// Calls `write` with the last chunk, or with a new chunk if the last chunk is full, old or sealed.
    pub(crate) fn with_last(&mut self, now: Duration, write: impl FnOnce(&mut Batch)) {
        let accepts_writes = |chunk: &Chunk| {
            chunk.state == ChunkState::Open
                && chunk.batch.bytes() < CHUNK_BYTES
                && now.saturating_sub(chunk.since) < CHUNK_DURATION
        };
        if !self.chunks.back().is_some_and(accepts_writes) {
            self.chunks.push_back(Chunk { batch: Batch::new(0), since: now, until: now, state: ChunkState::Open });
        }
        if let Some(chunk) = self.chunks.back_mut() {
            let before = chunk.batch.bytes();
            write(&mut chunk.batch);
            chunk.until = now;
            self.bytes += chunk.batch.bytes() - before;
        }
    }

    /// Returns the first chunk.
    pub(crate) fn first(&self) -> Option<&Batch> {
        self.chunks.front().map(|chunk| &chunk.batch)
    }

    /// Seals the first chunk and returns it, so that the caller can publish it.
    pub(crate) fn seal_first(&mut self) -> Option<&Batch> {
        let chunk = self.chunks.front_mut()?;
        chunk.state = ChunkState::Sealed;
        Some(&chunk.batch)
    }

    /// Removes the first chunk and returns it with the time of its last write.
    pub(crate) fn pop(&mut self) -> Option<(Batch, Duration)> {
        let chunk = self.chunks.pop_front()?;
        self.bytes -= chunk.batch.bytes();
        Some((chunk.batch, chunk.until))
    }

    /// Drops the chunks whose last write is before `time`. The caller must know that the log has these writes.
    pub(crate) fn drop_before(&mut self, time: Duration) {
        while self.chunks.front().is_some_and(|chunk| chunk.until < time) {
            self.pop();
        }
    }

    /// While the outbox is too full, drops the oldest chunks whose last write is before `logged`.
    ///
    /// The log has these writes, because the leader published them. Returns the time of the last dropped ticks on the
    /// clock of the candles.
    pub(crate) fn drop_excess(&mut self, logged: Duration) -> Option<Timestamp> {
        let mut until = None;
        while self.bytes > self.max_bytes && self.chunks.front().is_some_and(|chunk| chunk.until < logged) {
            until = until.max(self.pop().and_then(|(batch, _)| batch.now()));
        }
        until
    }

    /// Returns the size of all writes, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of ticks.
    pub(crate) fn ticks(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.batch.ticks().len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Returns the number of chunks. Each chunk becomes one message.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Adds the writes of `buffered` that the log does not have. `follower` has applied the log, and `now` is the time
    /// of the feed.
    ///
    /// Delistings that the log has are not added, because the instrument may be listed again. Returns the ids of these
    /// delistings.
    pub(crate) fn append_new(&mut self, buffered: &Self, follower: &Follower, now: Timestamp) -> Vec<Box<str>> {
        let ended = EndedInLog::find(buffered, follower, now);
        let ticks = buffered.chunks.iter().flat_map(|chunk| chunk.batch.ticks());
        let dedup = follower.dedup().map(|dedup| (dedup, dedup.timestamp_source(ticks)));
        let aggregator = follower.aggregator();
        let is_new = |id: &str, tick: &Tick, restarted| {
            dedup.is_none_or(|(dedup, source)| dedup.is_new(aggregator, id, tick, source, restarted))
        };
        let mut restarts = SequenceRestarts::default();
        // Times after a restart of the feed are not comparable with times before the restart.
        let mut feed_restarted = false;
        for (index, chunk, write) in buffered.writes() {
            match write {
                Write::Ticks(run) => {
                    let context = run.context;
                    let ticks = run.iter().filter(|(id, _)| !ended.is_before_end(id, index));
                    let new: Vec<_> = ticks
                        .filter(|(id, tick)| {
                            let restarted = restarts.record(id, tick, context.now);
                            feed_restarted || is_new(id, tick, restarted)
                        })
                        .collect();
                    if !new.is_empty() {
                        self.with_last(chunk.until, |batch| batch.push_ticks(new, context));
                    }
                }
                Write::Delist { id } if ended.listings.contains_key(id) => {}
                Write::Clear if ended.candles.is_some_and(|end| index <= end) => {}
                Write::Clear => {
                    feed_restarted = true;
                    self.with_last(chunk.until, |batch| batch.push(write));
                }
                write => self.with_last(chunk.until, |batch| batch.push(write)),
            }
        }
        let mut known: Vec<Box<str>> = ended.listings.into_keys().map(Into::into).collect();
        known.sort();
        known
    }

    /// Iterates over all writes, each with its index and its chunk.
    fn writes(&self) -> impl Iterator<Item = (usize, &Chunk, Write<'_>)> {
        let writes = self.chunks.iter().flat_map(|chunk| chunk.batch.writes().map(move |write| (chunk, write)));
        writes.enumerate().map(|(index, (chunk, write))| (index, chunk, write))
    }

    /// Frees memory if the outbox is too full.
    ///
    /// The ticks of all unsealed chunks are compacted to the prices of their minutes. If the outbox is still too full,
    /// the oldest ticks are dropped. Listings are never dropped, except repeated listings, which the feed sends after
    /// each connect.
    pub(crate) fn reclaim(&mut self, rules: &Rules) -> Reclaimed {
        let mut reclaimed = Reclaimed::default();
        if self.bytes <= self.max_bytes {
            return reclaimed;
        }
        let sealed = self.chunks.pop_front_if(|chunk| chunk.state == ChunkState::Sealed);
        reclaimed.compacted = self.compact(rules);
        // Even compacted, half an hour of ticks of 100,000 instruments can be too large.
        if self.bytes > self.max_bytes / 2 {
            self.drop_ticks(self.bytes - self.max_bytes / 2, &mut reclaimed);
        }
        if let Some(sealed) = sealed {
            self.bytes += sealed.batch.bytes();
            self.chunks.push_front(sealed);
        }
        reclaimed
    }

    /// Compacts all chunks and returns the number of removed ticks.
    fn compact(&mut self, rules: &Rules) -> usize {
        let chunks = std::mem::take(&mut self.chunks);
        self.bytes = 0;
        let until = chunks.back().map_or(Duration::ZERO, |chunk| chunk.until);
        let (mut compactor, mut listings, mut removed) = (Compactor::new(*rules), Listings::default(), 0);
        for chunk in chunks {
            for write in chunk.batch.writes() {
                if let Write::Ticks(run) = write {
                    if compactor.context.is_some_and(|before| before.unlisted != run.context.unlisted) {
                        removed += self.push_compacted(compactor.finish(), until);
                    }
                    run.iter().for_each(|(id, tick)| compactor.add(id, &tick, run.context));
                } else if listings.are_changed_by(write) {
                    removed += self.push_compacted(compactor.finish(), until);
                    self.with_last(until, |batch| batch.push(write));
                }
            }
        }
        removed + self.push_compacted(compactor.finish(), until)
    }

    /// Adds the ticks of a compaction and returns the number of removed ticks.
    fn push_compacted(&mut self, compacted: Option<Compacted>, until: Duration) -> usize {
        let Some(Compacted { ticks, context, removed }) = compacted else { return 0 };
        for run in ticks.chunks(RUN) {
            let run = run.iter().map(|(id, tick)| (&**id, *tick));
            self.with_last(until, |batch| batch.push_ticks(run, context));
        }
        removed
    }

    /// Drops the ticks of the oldest chunks until at least `excess` bytes are free.
    fn drop_ticks(&mut self, mut excess: usize, reclaimed: &mut Reclaimed) {
        for chunk in &mut self.chunks {
            if excess == 0 {
                break;
            }
            let without_ticks = without_ticks(&chunk.batch);
            let ticks = chunk.batch.ticks();
            reclaimed.dropped += ticks.len();
            reclaimed.dropped_until = reclaimed.dropped_until.max(ticks.map(|(_, tick)| tick.time).max());
            let freed = chunk.batch.bytes() - without_ticks.bytes();
            self.bytes -= freed;
            excess = excess.saturating_sub(freed);
            chunk.batch = without_ticks;
        }
    }
}

/// The delistings and restarts of the feed among the buffered writes that the log also contains.
///
/// Buffered ticks before such a write are dropped, because they belong to a listing or a run of the feed that has
/// ended.
struct EndedInLog<'b> {
    /// By id: the index of the last delisting of the instrument among the buffered writes.
    listings: HashMap<&'b str, usize>,
    /// The index of the last write that clears all candles.
    candles: Option<usize>,
}

impl<'b> EndedInLog<'b> {
    fn find(buffered: &'b Outbox, follower: &Follower, now: Timestamp) -> Self {
        let mut ended = Self { listings: HashMap::new(), candles: None };
        // If the time of the log is far ahead of the feed, the log does not contain the last restart of the feed.
        let last = follower.last_writes().and_then(|last| last.header.now());
        let lacks_restart = last.is_some_and(|last| is_restart(last, now));
        for (index, _, write) in buffered.writes() {
            match write {
                Write::Delist { id } if follower.was_delisted_recently(id) => {
                    ended.listings.insert(id, index);
                }
                Write::Clear if follower.was_cleared_recently() && !lacks_restart => ended.candles = Some(index),
                _ => {}
            }
        }
        ended
    }

    /// Returns true if a tick at `index` belongs to a listing or a run of the feed that has ended.
    fn is_before_end(&self, id: &str, index: usize) -> bool {
        self.candles.is_some_and(|end| index < end) || self.listings.get(id).is_some_and(|end| index < *end)
    }
}

fn without_ticks(batch: &Batch) -> Batch {
    let mut rest = Batch::new(0);
    batch.writes().filter(|write| !matches!(write, Write::Ticks(_))).for_each(|write| rest.push(write));
    rest
}

/// Gives arrival numbers, starting at `next`, to all ticks without a sequence number. Returns the numbered writes.
pub(crate) fn number_arrivals(batch: &Batch, next: &mut u64) -> Batch {
    let mut numbered = Batch::new(0);
    for write in batch.writes() {
        let Write::Ticks(run) = write else {
            numbered.push(write);
            continue;
        };
        let number = |(id, tick): (_, Tick)| {
            if tick.seq < FIRST_ARRIVAL_SEQ {
                return (id, tick);
            }
            let seq = (*next).max(FIRST_ARRIVAL_SEQ);
            *next = seq.saturating_add(1);
            (id, tick.with_seq(seq))
        };
        numbered.push_ticks(run.iter().map(number), run.context);
    }
    numbered
}

#[cfg(test)]
mod tests;
