//! A batch of writes in order, as plain data.

use candle_core::{Tick, Timestamp, Unlisted};

/// A batch of writes in order. Ids and descriptions share one string, so that logging a write rarely allocates memory.
///
/// ```
/// use candle_engine::journal::{Batch, Write};
///
/// let mut batch = Batch::new(1);
/// batch.push(Write::List { id: "BTC", description: None });
/// batch.push(Write::Delist { id: "BTC" });
/// assert!(matches!(batch.writes().last(), Some(Write::Delist { id: "BTC" })));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    first_lsn: u64,
    text: String,
    ticks: Vec<(Span, Tick)>,
    entries: Vec<Entry>,
}

/// The position of an id or a description in a batch's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u32,
    len: u32,
}

/// The compact form of a [`Write`]. The ticks of a run are the next `count` ticks of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    List { id: Span, description: Option<Span> },
    Delist { id: Span },
    Clear,
    Ticks { count: u32, context: TickContext },
}

/// One write, or a run of ticks: consecutive ticks that were recorded in the same context.
#[derive(Clone, Copy, Debug)]
pub enum Write<'b> {
    /// Lists an instrument, or changes its description.
    List {
        /// The id of the instrument.
        id: &'b str,
        /// The description of the instrument, if there is one.
        description: Option<&'b str>,
    },
    /// Delists an instrument. The id may be unknown.
    Delist {
        /// The id of the instrument.
        id: &'b str,
    },
    /// Clears all candles.
    Clear,
    /// Records ticks.
    Ticks(TickRun<'b>),
}

/// Consecutive ticks of a batch that were recorded in the same context.
#[derive(Clone, Copy, Debug)]
pub struct TickRun<'b> {
    text: &'b str,
    ticks: &'b [(Span, Tick)],
    /// The context of the ticks.
    pub context: TickContext,
}

/// The context in which a run of ticks was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickContext {
    /// The `now` at which the ticks were validated.
    pub now: Timestamp,
    /// The treatment of unlisted instruments: their ticks list the instrument or are rejected.
    pub unlisted: Unlisted,
}

impl<'b> TickRun<'b> {
    /// Returns the ids and ticks in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'b str, Tick)> + use<'b> {
        let text = self.text;
        self.ticks.iter().map(move |(id, tick)| (id.of(text), *tick))
    }

    /// Returns the number of ticks.
    pub const fn len(&self) -> usize {
        self.ticks.len()
    }

    /// Returns true if there is no tick.
    pub const fn is_empty(&self) -> bool {
        self.ticks.is_empty()
    }

    /// Splits the run into parts of at most `ticks` ticks.
    pub fn chunks(&self, ticks: usize) -> impl Iterator<Item = Self> + use<'b> {
        let Self { text, context, .. } = *self;
        self.ticks.chunks(ticks).map(move |ticks| Self { text, ticks, context })
    }
}

impl Span {
    fn of(self, text: &str) -> &str {
        text.get(self.start as usize..(self.start + self.len) as usize).unwrap_or_default()
    }
}

impl Batch {
    /// Creates an empty batch. Its first write will have the log sequence number `first_lsn`.
    pub const fn new(first_lsn: u64) -> Self {
        Self { first_lsn, text: String::new(), ticks: Vec::new(), entries: Vec::new() }
    }

    /// Returns the log sequence number of the first write.
    pub const fn first_lsn(&self) -> u64 {
        self.first_lsn
    }

    /// Returns true if there is no write.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the writes in order.
    pub fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        let text = self.text.as_str();
        let mut ticks = self.ticks.as_slice();
        self.entries.iter().map(move |entry| match *entry {
            Entry::List { id, description } => {
                Write::List { id: id.of(text), description: description.map(|description| description.of(text)) }
            }
            Entry::Delist { id } => Write::Delist { id: id.of(text) },
            Entry::Clear => Write::Clear,
            Entry::Ticks { count, context } => {
                let (run, rest) = ticks.split_at((count as usize).min(ticks.len()));
                ticks = rest;
                Write::Ticks(TickRun { text, ticks: run, context })
            }
        })
    }

    /// Returns the ids and ticks of all runs in order.
    pub fn ticks(&self) -> impl ExactSizeIterator<Item = (&str, &Tick)> {
        self.ticks.iter().map(|(id, tick)| (id.of(&self.text), tick))
    }

    /// Returns the memory that the batch uses, in bytes.
    pub const fn bytes(&self) -> usize {
        self.text.len() + self.ticks.len() * size_of::<(Span, Tick)>() + self.entries.len() * size_of::<Entry>()
    }

    /// Returns the `now` at which the last run of ticks was validated; `None` without ticks.
    pub fn now(&self) -> Option<Timestamp> {
        self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Ticks { context, .. } => Some(context.now),
            Entry::List { .. } | Entry::Delist { .. } | Entry::Clear => None,
        })
    }

    /// Returns true if a write of the batch clears all candles.
    pub fn clears(&self) -> bool {
        self.entries.contains(&Entry::Clear)
    }

    /// Appends a write, which may be borrowed from another batch.
    pub fn push(&mut self, write: Write<'_>) {
        let entry = match write {
            Write::List { id, description } => {
                let id = self.push_text(id);
                Entry::List { id, description: description.map(|text| self.push_text(text)) }
            }
            Write::Delist { id } => Entry::Delist { id: self.push_text(id) },
            Write::Clear => Entry::Clear,
            Write::Ticks(run) => return self.push_ticks(run.iter(), run.context),
        };
        self.entries.push(entry);
    }

    /// Appends a run of ticks. An empty run is not stored.
    pub fn push_ticks<'t>(
        &mut self,
        ticks: impl IntoIterator<IntoIter: ExactSizeIterator<Item = (&'t str, Tick)>>,
        context: TickContext,
    ) {
        let ticks = ticks.into_iter();
        #[expect(clippy::cast_possible_truncation, reason = "a batch is far below 2^32 ticks, see MAX_PENDING_BYTES")]
        let count = ticks.len() as u32;
        if count == 0 {
            return;
        }
        self.ticks.reserve(ticks.len());
        for (id, tick) in ticks {
            let id = self.push_text(id);
            self.ticks.push((id, tick));
        }
        self.entries.push(Entry::Ticks { count, context });
    }

    #[expect(clippy::cast_possible_truncation, reason = "a batch is far below 4 GB, see MAX_PENDING_BYTES")]
    fn push_text(&mut self, text: &str) -> Span {
        let span = Span { start: self.text.len() as u32, len: text.len() as u32 };
        self.text.push_str(text);
        span
    }
}
