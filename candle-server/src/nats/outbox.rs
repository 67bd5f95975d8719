//! What a gateway has recorded and the log does not have yet, bounded in bytes.

mod fold;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use candle_core::{Rules, Tick, Timestamp};

use fold::{Fold, Listings};

use super::follower::Follower;
use super::message::ARRIVAL_NUMBERS;
use super::overlap::Numbers;
use crate::clock::is_restart;
use crate::journal::{Batch, Write};

/// The most that is held, in bytes: two million ticks of short ids, 20 s of the full load, while a broker that lost its
/// leader stands still for 4 to 7.
pub(super) const MAX_HELD_BYTES: usize = 128 << 20;

/// About the most that one message takes: three quarters of what servers allow by default. A piece takes hardly more as a
/// message than in memory, whatever is in it, and the last run may go beyond its end.
pub(super) const MAX_PIECE_BYTES: usize = 768 << 10;

/// The longest that a piece takes further writes: it is forgotten as a whole, and what is held for longer than need be may
/// be of a listing that is over in the log for longer than that is remembered.
const SPAN: Duration = Duration::from_secs(5);

/// The most ticks of a run in one go: so that a piece ends near its bound.
const RUN: usize = 512;

/// Writes that wait, in their order, in pieces that fit a message each.
#[derive(Debug)]
pub(super) struct Outbox {
    pieces: VecDeque<Piece>,
    bytes: usize,
    most: usize,
}

#[derive(Debug)]
struct Piece {
    batch: Batch,
    /// When its first and its last write came, since the server's start.
    since: Duration,
    until: Duration,
    room: Room,
}

/// Whether a piece takes further writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Open,
    /// It is under way as it was: what came later would be forgotten with it.
    Sealed,
}

/// What had to be given up for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// Ticks that were folded into their minute's prices; open, high, low and close are kept, count and volume are not.
    pub(super) folded: usize,
    /// Ticks that were dropped.
    pub(super) dropped: usize,
    /// The latest of their times.
    pub(super) dropped_until: Option<Timestamp>,
}

impl Outbox {
    /// Holds nothing yet, and at most `most` bytes.
    pub(super) const fn new(most: usize) -> Self {
        Self { pieces: VecDeque::new(), bytes: 0, most }
    }

    /// Adds what was recorded by `now`, the time since the server's start.
    pub(super) fn push(&mut self, batch: &Batch, now: Duration) {
        for write in batch.writes() {
            let Write::Ticks(ticks) = write else {
                self.with_back(now, |piece| piece.push(write));
                continue;
            };
            for run in ticks.chunks(RUN) {
                self.with_back(now, |piece| piece.push(Write::Ticks(run)));
            }
        }
    }

    /// Writes into the last piece, or into a new one where that is full.
    pub(super) fn with_back(&mut self, now: Duration, write: impl FnOnce(&mut Batch)) {
        let is_recent = |piece: &Piece| now.saturating_sub(piece.since) < SPAN;
        let has_room =
            |piece: &Piece| piece.room == Room::Open && piece.batch.bytes() < MAX_PIECE_BYTES && is_recent(piece);
        if !self.pieces.back().is_some_and(has_room) {
            self.pieces.push_back(Piece { batch: Batch::new(0), since: now, until: now, room: Room::Open });
        }
        if let Some(piece) = self.pieces.back_mut() {
            let before = piece.batch.bytes();
            write(&mut piece.batch);
            piece.until = now;
            self.bytes += piece.batch.bytes() - before;
        }
    }

    /// What is to be sent next.
    pub(super) fn front(&self) -> Option<&Batch> {
        self.pieces.front().map(|piece| &piece.batch)
    }

    /// What is to be sent now, which stays as it is from here on.
    pub(super) fn seal_front(&mut self) -> Option<&Batch> {
        let piece = self.pieces.front_mut()?;
        piece.room = Room::Sealed;
        Some(&piece.batch)
    }

    /// Forgets what was sent, the last of which came at the time that is given beside it.
    pub(super) fn pop(&mut self) -> Option<(Batch, Duration)> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.batch.bytes();
        Some((piece.batch, piece.until))
    }

    /// Forgets what came before `since`: someone else has sent it.
    pub(super) fn forget_before(&mut self, since: Duration) {
        while self.pieces.front().is_some_and(|piece| piece.until < since) {
            self.pop();
        }
    }

    /// Forgets the oldest of what came before `told`, and someone else has sent, while more is held than may be; up to
    /// which time on the candles' clock that was, if any.
    pub(super) fn forget_excess(&mut self, told: Duration) -> Option<Timestamp> {
        let mut until = None;
        while self.bytes > self.most && self.pieces.front().is_some_and(|piece| piece.until < told) {
            until = until.max(self.pop().and_then(|(batch, _)| batch.now()));
        }
        until
    }

    /// How many bytes are held.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many ticks are held.
    pub(super) fn ticks(&self) -> usize {
        self.pieces.iter().map(|piece| piece.batch.ticks().len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many messages it takes to send all.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Adds what `follower` has not seen in the log of what another one holds, whose feed's time is `now` by its own
    /// clock. An instrument that the log delisted lately is not delisted again, since it may be listed again; their ids
    /// are returned.
    pub(super) fn append_new(&mut self, held: &Self, follower: &Follower, now: Timestamp) -> Vec<Box<str>> {
        let ended = Ended::of(held, follower, now);
        let ticks = held.pieces.iter().flat_map(|piece| piece.batch.ticks());
        let overlap = follower.overlap().map(|overlap| (overlap, overlap.times(ticks)));
        let aggregator = follower.aggregator();
        let is_new = |id: &str, tick: &Tick, began_again| {
            overlap.is_none_or(|(overlap, times)| overlap.is_new(aggregator, id, tick, times, began_again))
        };
        let mut numbers = Numbers::default();
        // The times of a feed that started over don't compare with those before.
        let mut has_started_over = false;
        for (place, piece, write) in held.placed() {
            match write {
                Write::Ticks(run) => {
                    let context = run.context;
                    let ticks = run.iter().filter(|(id, _)| !ended.is_over(id, place));
                    let new: Vec<_> = ticks
                        .filter(|(id, tick)| {
                            let began_again = numbers.note(id, tick, context.now);
                            has_started_over || is_new(id, tick, began_again)
                        })
                        .collect();
                    if !new.is_empty() {
                        self.with_back(piece.until, |batch| batch.push_ticks(new, context));
                    }
                }
                Write::Delist { id } if ended.listings.contains_key(id) => {}
                Write::Clear if ended.candles.is_some_and(|end| place <= end) => {}
                Write::Clear => {
                    has_started_over = true;
                    self.with_back(piece.until, |batch| batch.push(write));
                }
                write => self.with_back(piece.until, |batch| batch.push(write)),
            }
        }
        let mut again: Vec<Box<str>> = ended.listings.into_keys().map(Into::into).collect();
        again.sort();
        again
    }

    /// All writes, each with its place among them and the piece it is in.
    fn placed(&self) -> impl Iterator<Item = (usize, &Piece, Write<'_>)> {
        let writes = self.pieces.iter().flat_map(|piece| piece.batch.writes().map(move |write| (piece, write)));
        writes.enumerate().map(|(place, (piece, write))| (place, piece, write))
    }

    /// Makes room where more is held than may be: all but what is under way is folded into the
    /// prices of its minutes; and where that is not enough, the oldest ticks are dropped. Of listings only those go that
    /// repeat the one before, as a feed's do with each of its connections.
    pub(super) fn make_room(&mut self, rules: &Rules) -> Given {
        let mut given = Given::default();
        if self.bytes <= self.most {
            return given;
        }
        let first = self.pieces.pop_front_if(|piece| piece.room == Room::Sealed);
        let rest = std::mem::take(&mut self.pieces);
        self.bytes = 0;
        let until = rest.back().map_or(Duration::ZERO, |piece| piece.until);
        let (mut fold, mut listings) = (Fold::new(*rules), Listings::default());
        for piece in rest {
            for write in piece.batch.writes() {
                if let Write::Ticks(run) = write {
                    let context = run.context;
                    if fold.context.is_some_and(|before| before.unlisted != context.unlisted) {
                        given.folded += fold.finish(self, until);
                    }
                    run.iter().for_each(|(id, tick)| fold.add(id, &tick, context));
                } else if listings.are_changed_by(write) {
                    given.folded += fold.finish(self, until);
                    self.with_back(until, |batch| batch.push(write));
                }
            }
        }
        given.folded += fold.finish(self, until);
        // Folded again and again, half an hour of 100,000 instruments might still be too much.
        if self.bytes > self.most / 2 {
            let mut excess = self.bytes - self.most / 2;
            for piece in &mut self.pieces {
                if excess == 0 {
                    break;
                }
                let kept = without_ticks(&piece.batch);
                given.dropped += piece.batch.ticks().len();
                let newest = piece.batch.ticks().map(|(_, tick)| tick.time).max();
                given.dropped_until = given.dropped_until.max(newest);
                let freed = piece.batch.bytes() - kept.bytes();
                self.bytes -= freed;
                excess = excess.saturating_sub(freed);
                piece.batch = kept;
            }
        }
        if let Some(first) = first {
            self.bytes += first.batch.bytes();
            self.pieces.push_front(first);
        }
        given
    }
}

/// What ended among the writes that are held, and in the log already: ticks from before it are of what is no more.
struct Ended<'h> {
    /// By the id of an instrument: the place of its last delisting.
    listings: HashMap<&'h str, usize>,
    /// The place at which all candles were forgotten last.
    candles: Option<usize>,
}

impl<'h> Ended<'h> {
    fn of(held: &'h Outbox, follower: &Follower, now: Timestamp) -> Self {
        let mut ended = Self { listings: HashMap::new(), candles: None };
        // A log whose time is still ahead of a feed that started over has seen it start over once less.
        let is_behind = follower.last().and_then(|last| last.writes.now()).is_some_and(|last| is_restart(last, now));
        for (place, _, write) in held.placed() {
            match write {
                Write::Delist { id } if follower.was_delisted_lately(id) => {
                    ended.listings.insert(id, place);
                }
                Write::Clear if follower.was_cleared_lately() && !is_behind => ended.candles = Some(place),
                _ => {}
            }
        }
        ended
    }

    /// Whether a tick of an instrument at `place` came before such an end.
    fn is_over(&self, id: &str, place: usize) -> bool {
        self.candles.is_some_and(|end| place < end) || self.listings.get(id).is_some_and(|end| place < *end)
    }
}

fn without_ticks(batch: &Batch) -> Batch {
    let mut kept = Batch::new(0);
    batch.writes().filter(|write| !matches!(write, Write::Ticks(_))).for_each(|write| kept.push(write));
    kept
}

/// The same writes, with ticks that have no number of their own numbered from `next` on.
pub(super) fn numbered(batch: &Batch, next: &mut u64) -> Batch {
    let mut numbered = Batch::new(0);
    for write in batch.writes() {
        let Write::Ticks(run) = write else {
            numbered.push(write);
            continue;
        };
        let number = |(id, tick): (_, Tick)| {
            if tick.seq < ARRIVAL_NUMBERS {
                return (id, tick);
            }
            let seq = (*next).max(ARRIVAL_NUMBERS);
            *next = seq.saturating_add(1);
            (id, tick.with_seq(seq))
        };
        numbered.push_ticks(run.iter().map(number), run.context);
    }
    numbered
}

#[cfg(test)]
mod tests;
