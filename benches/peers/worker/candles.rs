//! The candles of a pass, read out of an aggregator and written for the comparison.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use benches::rivals::PlainCandle;
use candle_core::{Aggregator, Gaps, Ring, State, Timestamp, WindowCandle};

/// One candle of one instrument.
pub(crate) type Row = (String, PlainCandle);

/// The time between two reads of closed candles, in microseconds: half of the window, so that no candle is missed.
const READ_MICROS: i64 = 15 * 60_000_000;

/// Which candles a read takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// Candles that are over.
    Closed,
    /// The forming candle too.
    All,
}

/// Collects each closed candle once.
pub(crate) struct Collector {
    rows: Vec<Row>,
    /// The newest collected minute of each instrument.
    last: Vec<i64>,
    read_at: Option<Timestamp>,
}

impl Collector {
    pub(crate) fn new(instruments: usize) -> Self {
        Self { rows: Vec::new(), last: vec![i64::MIN; instruments], read_at: None }
    }

    /// Returns true if closed candles have to be read at `now`, before they leave the window.
    pub(crate) fn is_due(&mut self, now: Timestamp) -> bool {
        let due = self.read_at.is_none_or(|read_at| now.as_micros() - read_at.as_micros() >= READ_MICROS);
        if due {
            self.read_at = Some(now);
        }
        due
    }

    pub(crate) fn add(&mut self, place: usize, id: &str, bars: impl Iterator<Item = PlainCandle>) {
        for bar in bars {
            if bar.minute > self.last[place] {
                self.last[place] = bar.minute;
                self.rows.push((id.to_owned(), bar));
            }
        }
    }

    pub(crate) fn read(&mut self, aggregator: &Aggregator, ids: &[impl AsRef<str>], now: Timestamp, take: Take) {
        for (place, id) in ids.iter().map(AsRef::as_ref).enumerate() {
            if let Some(history) = aggregator.history(id) {
                self.add(place, id, bars(&history.ring, now, take));
            }
        }
    }

    pub(crate) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

/// Returns the candles of a ring, oldest first.
pub(crate) fn bars(ring: &Ring, now: Timestamp, take: Take) -> impl Iterator<Item = PlainCandle> {
    ring.candles(now, Gaps::Omitted).filter(move |candle| take == Take::All || candle.state != State::Forming).map(bar)
}

fn bar(candle: WindowCandle) -> PlainCandle {
    let WindowCandle { open_time, open, high, low, close, volume, count, .. } = candle;
    let minute = open_time.as_micros().div_euclid(60_000_000);
    PlainCandle { minute, open, high, low, close, volume, count }
}

/// Gives candles without a time the minutes in which their instrument has ticks. Returns no candles if the numbers differ.
#[cfg(feature = "rivals-agpl")]
pub(crate) fn dated(mut bars: Vec<PlainCandle>, minutes: &[i64]) -> Vec<PlainCandle> {
    if bars.len() != minutes.len() {
        return Vec::new();
    }
    bars.iter_mut().zip(minutes).for_each(|(bar, minute)| bar.minute = *minute);
    bars
}

/// Returns the minutes in which each instrument has ticks.
#[cfg(feature = "rivals-agpl")]
pub(crate) fn minutes(feed: &benches::common::Feed) -> Vec<Vec<i64>> {
    let mut minutes = vec![Vec::new(); feed.ids.len()];
    for (place, (_, tick)) in feed.instruments.iter().zip(&feed.quotes) {
        let minutes = &mut minutes[*place as usize];
        let minute = tick.time.as_micros().div_euclid(60_000_000);
        if minutes.last() != Some(&minute) {
            minutes.push(minute);
        }
    }
    minutes
}

/// Writes candles as CSV, by id and minute.
pub(crate) fn write_candles(path: &Path, mut rows: Vec<Row>) {
    rows.sort_by(|(a, x), (b, y)| (a, x.minute).cmp(&(b, y.minute)));
    let mut text = String::new();
    for (id, bar) in rows {
        let PlainCandle { minute, open, high, low, close, volume, count } = bar;
        writeln!(text, "{id},{minute},{open},{high},{low},{close},{volume},{count}").expect("a string takes any text");
    }
    fs::write(path, text).expect("the folder is writable");
}
