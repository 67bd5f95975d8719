//! The outbox of a gateway: recorded writes that the log does not have yet, bounded in bytes.

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

/// The most bytes of an outbox: two million ticks with short ids, which is 20 s of the full load. A broker that lost
/// its leader stores no message for 4 to 7 s.
pub(crate) const MAX_OUTBOX_BYTES: usize = 128 << 20;

/// The approximate size of a full chunk, in bytes: three quarters of the default limit of the broker.
///
/// The encoded message is hardly longer than the chunk, whatever it contains. The last run of ticks can exceed this
/// size.
pub(crate) const CHUNK_BYTES: usize = 768 << 10;

/// The longest time for which a chunk takes writes. A chunk is dropped as a whole, and with a longer time a standby could
/// hold a delisting that its follower no longer remembers.
const CHUNK_DURATION: Duration = Duration::from_secs(5);

/// The most ticks that are added in one run, so that a chunk ends near its limit.
const RUN: usize = 512;

/// Writes in their order, in chunks of one message each.
#[derive(Debug)]
pub(crate) struct Outbox {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Chunk {
    batch: Batch,
    /// The times of the first and the last write, since the start of the server.
    since: Duration,
    until: Duration,
    state: ChunkState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    /// The chunk takes further writes.
    Open,
    /// The chunk is being published. Writes added now would be dropped with it.
    Sealed,
}

/// Ticks that were given up because the outbox was full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reclaimed {
    /// The number of ticks that compaction removed. Their minutes keep open, high, low and close, but not count and
    /// volume.
    pub(crate) compacted: usize,
    /// The number of dropped ticks.
    pub(crate) dropped: usize,
    /// The latest time of a dropped tick.
    pub(crate) dropped_until: Option<Timestamp>,
}

impl Outbox {
    /// An empty outbox for at most `max_bytes` bytes.
    pub(crate) const fn new(max_bytes: usize) -> Self {
        Self { chunks: VecDeque::new(), bytes: 0, max_bytes }
    }

    /// Adds writes at `now`, the time since the start of the server.
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

    /// Adds to the last chunk, or to a new one if the last is full, old or sealed.
    pub(crate) fn with_last(&mut self, now: Duration, write: impl FnOnce(&mut Batch)) {
        let takes_writes = |chunk: &Chunk| {
            chunk.state == ChunkState::Open
                && chunk.batch.bytes() < CHUNK_BYTES
                && now.saturating_sub(chunk.since) < CHUNK_DURATION
        };
        if !self.chunks.back().is_some_and(takes_writes) {
            self.chunks.push_back(Chunk { batch: Batch::new(0), since: now, until: now, state: ChunkState::Open });
        }
        if let Some(chunk) = self.chunks.back_mut() {
            let before = chunk.batch.bytes();
            write(&mut chunk.batch);
            chunk.until = now;
            self.bytes += chunk.batch.bytes() - before;
        }
    }

    /// The first chunk.
    pub(crate) fn first(&self) -> Option<&Batch> {
        self.chunks.front().map(|chunk| &chunk.batch)
    }

    /// Seals the first chunk, which is published next, and returns it.
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

    /// Drops chunks that ended before `time`. Another gateway has published them.
    pub(crate) fn drop_before(&mut self, time: Duration) {
        while self.chunks.front().is_some_and(|chunk| chunk.until < time) {
            self.pop();
        }
    }

    /// Drops the oldest chunks that ended before `logged` while the outbox is too full. Another gateway has published
    /// them. Returns the time of the last dropped ticks on the clock of the candles.
    pub(crate) fn drop_excess(&mut self, logged: Duration) -> Option<Timestamp> {
        let mut until = None;
        while self.bytes > self.max_bytes && self.chunks.front().is_some_and(|chunk| chunk.until < logged) {
            until = until.max(self.pop().and_then(|(batch, _)| batch.now()));
        }
        until
    }

    /// The size of all writes, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of ticks.
    pub(crate) fn ticks(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.batch.ticks().len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The number of chunks, which is the number of messages that all writes take.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Adds the writes of `held` that the log does not have, as far as `follower` knows. The clock of the feed is at
    /// `now`.
    ///
    /// Delistings that the log has are left out, because the instrument can be listed again. Returns their ids.
    pub(crate) fn append_new(&mut self, held: &Self, follower: &Follower, now: Timestamp) -> Vec<Box<str>> {
        let ended = EndedInLog::find(held, follower, now);
        let ticks = held.chunks.iter().flat_map(|chunk| chunk.batch.ticks());
        let dedup = follower.dedup().map(|dedup| (dedup, dedup.timestamp_source(ticks)));
        let aggregator = follower.aggregator();
        let is_new = |id: &str, tick: &Tick, restarted| {
            dedup.is_none_or(|(dedup, source)| dedup.is_new(aggregator, id, tick, source, restarted))
        };
        let mut restarts = SequenceRestarts::default();
        // The times after a restart of the feed are not comparable with those before.
        let mut feed_restarted = false;
        for (index, chunk, write) in held.writes() {
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

    /// All writes with their index and their chunk.
    fn writes(&self) -> impl Iterator<Item = (usize, &Chunk, Write<'_>)> {
        let writes = self.chunks.iter().flat_map(|chunk| chunk.batch.writes().map(move |write| (chunk, write)));
        writes.enumerate().map(|(index, (chunk, write))| (index, chunk, write))
    }

    /// Frees memory if the outbox is too full.
    ///
    /// All chunks but a sealed one are compacted to the prices of their minutes. If that is not enough, the oldest
    /// ticks are dropped. Of listings only repetitions are removed, which a feed sends on each of its connections.
    pub(crate) fn reclaim(&mut self, rules: &Rules) -> Reclaimed {
        let mut reclaimed = Reclaimed::default();
        if self.bytes <= self.max_bytes {
            return reclaimed;
        }
        let sealed = self.chunks.pop_front_if(|chunk| chunk.state == ChunkState::Sealed);
        reclaimed.compacted = self.compact(rules);
        // Compacted repeatedly, half an hour of 100,000 instruments could still be too much.
        if self.bytes > self.max_bytes / 2 {
            self.drop_ticks(self.bytes - self.max_bytes / 2, &mut reclaimed);
        }
        if let Some(sealed) = sealed {
            self.bytes += sealed.batch.bytes();
            self.chunks.push_front(sealed);
        }
        reclaimed
    }

    /// Compacts all chunks. Returns the number of removed ticks.
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

    /// Adds the result of a compaction. Returns the number of removed ticks.
    fn push_compacted(&mut self, compacted: Option<Compacted>, until: Duration) -> usize {
        let Some(Compacted { ticks, context, removed }) = compacted else { return 0 };
        for run in ticks.chunks(RUN) {
            let run = run.iter().map(|(id, tick)| (&**id, *tick));
            self.with_last(until, |batch| batch.push_ticks(run, context));
        }
        removed
    }

    /// Drops the ticks of the oldest chunks until `excess` bytes are free.
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

/// Ends among the held writes that the log has too. Ticks before such an end belong to a listing or a run of the feed
/// that has ended.
struct EndedInLog<'h> {
    /// The index of the last delisting of each instrument among the held writes, by id.
    listings: HashMap<&'h str, usize>,
    /// The index of the last write that clears all candles.
    candles: Option<usize>,
}

impl<'h> EndedInLog<'h> {
    fn find(held: &'h Outbox, follower: &Follower, now: Timestamp) -> Self {
        let mut ended = Self { listings: HashMap::new(), candles: None };
        // If the log is ahead of a feed that restarted, the log does not have its last restart.
        let last = follower.last_writes().and_then(|last| last.header.now());
        let lacks_restart = last.is_some_and(|last| is_restart(last, now));
        for (index, _, write) in held.writes() {
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

    /// Returns true if a tick of an instrument at `index` came before such an end.
    fn is_before_end(&self, id: &str, index: usize) -> bool {
        self.candles.is_some_and(|end| index < end) || self.listings.get(id).is_some_and(|end| index < *end)
    }
}

fn without_ticks(batch: &Batch) -> Batch {
    let mut rest = Batch::new(0);
    batch.writes().filter(|write| !matches!(write, Write::Ticks(_))).for_each(|write| rest.push(write));
    rest
}

/// Returns the writes with arrival numbers from `next` on for all ticks without a sequence number.
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
