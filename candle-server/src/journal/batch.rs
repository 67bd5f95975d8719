//! Writes in their order, as plain data.

use candle_core::{Tick, Timestamp, Unlisted};

/// Writes in their order, with the text they refer to in one piece: gathering them costs a copy and no allocation of its
/// own.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    first_lsn: u64,
    text: String,
    ticks: Vec<(Span, Tick)>,
    entries: Vec<Entry>,
}

/// A part of a batch's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

/// One write, or a run of ticks under the same context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An instrument was listed, or described anew.
    List {
        /// Its id.
        id: Span,
        /// Its description, if it has one.
        description: Option<Span>,
    },
    /// An instrument was delisted, if it was listed.
    Delist {
        /// Its id.
        id: Span,
    },
    /// All candles were forgotten.
    Clear,
    /// The next ticks were recorded.
    Ticks {
        /// How many.
        count: u32,
        /// The time under which they were judged.
        now: Timestamp,
        /// What became of those whose instrument was not listed.
        unlisted: Unlisted,
    },
}

impl Batch {
    /// An empty batch whose first write has this position.
    pub const fn new(first_lsn: u64) -> Self {
        Self { first_lsn, text: String::new(), ticks: Vec::new(), entries: Vec::new() }
    }

    /// The position of its first write.
    pub const fn first_lsn(&self) -> u64 {
        self.first_lsn
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The writes.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The ticks of all entries, one after the other.
    pub fn ticks_in_order(&self) -> &[(Span, Tick)] {
        &self.ticks
    }

    /// The text of a span of this batch.
    pub fn text(&self, span: Span) -> &str {
        self.text.get(span.start as usize..(span.start + span.len) as usize).unwrap_or_default()
    }

    /// What it takes in memory.
    pub const fn bytes(&self) -> usize {
        self.text.len() + self.ticks.len() * size_of::<(Span, Tick)>() + self.entries.len() * size_of::<Entry>()
    }

    /// The time of its last ticks, on the candles' clock.
    pub fn now(&self) -> Option<Timestamp> {
        self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Ticks { now, .. } => Some(*now),
            Entry::List { .. } | Entry::Delist { .. } | Entry::Clear => None,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "a batch is far below 4 GB, see MAX_PENDING_BYTES")]
    fn write(&mut self, text: &str) -> Span {
        let span = Span { start: self.text.len() as u32, len: text.len() as u32 };
        self.text.push_str(text);
        span
    }

    pub(super) fn list(&mut self, id: &str, description: Option<&str>) {
        let id = self.write(id);
        let description = description.map(|text| self.write(text));
        self.entries.push(Entry::List { id, description });
    }

    pub(super) fn delist(&mut self, id: &str) {
        let id = self.write(id);
        self.entries.push(Entry::Delist { id });
    }

    pub(super) fn clear(&mut self) {
        self.entries.push(Entry::Clear);
    }

    pub(super) fn ticks(&mut self, ticks: &[(&str, Tick)], now: Timestamp, unlisted: Unlisted) {
        self.ticks.reserve(ticks.len());
        for (id, tick) in ticks {
            let id = self.write(id);
            self.ticks.push((id, *tick));
        }
        #[expect(clippy::cast_possible_truncation, reason = "a batch is far below 2^32 ticks, see MAX_PENDING_BYTES")]
        let count = ticks.len() as u32;
        self.entries.push(Entry::Ticks { count, now, unlisted });
    }
}
