//! Writes one at a time: to cut batches into pieces, to leave some out, to put others in.

use candle_core::{Tick, Timestamp, Unlisted};

use super::batch::{Batch, Entry, Span};

/// One write of a [`Batch`], or a run of ticks under the same context.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Write<'b> {
    /// An instrument was listed, or described anew.
    List { id: &'b str, description: Option<&'b str> },
    /// An instrument was delisted, if it was listed.
    Delist { id: &'b str },
    /// All candles were forgotten.
    Clear,
    /// Ticks were recorded.
    Ticks { ticks: &'b [(Span, Tick)], context: JudgedBy },
}

/// The context of a run of ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JudgedBy {
    /// The time under which they were judged.
    pub(crate) now: Timestamp,
    /// What became of those whose instrument was not listed.
    pub(crate) unlisted: Unlisted,
}

impl Batch {
    /// The writes in their order.
    pub(crate) fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        let mut ticks = self.ticks_in_order();
        self.entries().iter().map(move |entry| match *entry {
            Entry::List { id, description } => {
                Write::List { id: self.text(id), description: description.map(|text| self.text(text)) }
            }
            Entry::Delist { id } => Write::Delist { id: self.text(id) },
            Entry::Clear => Write::Clear,
            Entry::Ticks { count, now, unlisted } => {
                let (run, rest) = ticks.split_at((count as usize).min(ticks.len()));
                ticks = rest;
                Write::Ticks { ticks: run, context: JudgedBy { now, unlisted } }
            }
        })
    }

    /// Whether all candles were forgotten somewhere in it.
    pub(crate) fn clears(&self) -> bool {
        self.entries().contains(&Entry::Clear)
    }

    /// Adds a write that is no tick, of this batch or another.
    pub(crate) fn push(&mut self, write: Write<'_>) {
        match write {
            Write::List { id, description } => self.list(id, description),
            Write::Delist { id } => self.delist(id),
            Write::Clear => self.clear(),
            Write::Ticks { .. } => debug_assert!(false, "ticks come with the text of their batch"),
        }
    }

    /// Adds a run of ticks.
    pub(crate) fn push_ticks(&mut self, ticks: &[(&str, Tick)], context: JudgedBy) {
        if !ticks.is_empty() {
            self.ticks(ticks, context.now, context.unlisted);
        }
    }
}
