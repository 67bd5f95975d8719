//! The model of coverage, which is the part of each minute for which the active feed was up.
//!
//! The model contains only times at which the feed was certainly up or certainly down.

use std::collections::BTreeMap;

use candle_core::Coverage;

use super::Millis;
use super::quotes::{START, STEP};
use super::scenario::Fault;

/// The maximum time for which a feed still counts as slow after it recovers within a connection.
const RECOVERY: Millis = 2_500;
/// The maximum difference between the start of a drip and the time from which the feed counts as slow.
const DRIP_MARGIN: Millis = 4_000;
/// The time after which the first quotes of a connection have certainly arrived. The list of instruments may be late.
const CONNECT_MARGIN: Millis = 3_000;

/// The quotes that a feed delivers during a time span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Delivery {
    /// There is no connection.
    Unconnected,
    /// There is a connection without quotes.
    Silent,
    /// Few quotes arrive.
    Dripping,
    /// All quotes arrive, on time or late.
    Supplied,
}

impl From<Fault> for Delivery {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::None | Fault::Late(_) => Self::Supplied,
            Fault::Mute | Fault::Frozen => Self::Silent,
            Fault::Drip => Self::Dripping,
            Fault::Dead | Fault::Restart => Self::Unconnected,
        }
    }
}

/// A time span in which the delivery of a feed does not change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) delivery: Delivery,
    pub(super) from: Millis,
    pub(super) to: Millis,
    /// The longest silence timeout during the span.
    silence_timeout: Millis,
    /// The number of batches of quotes.
    batches: u64,
}

/// A certain state of the active feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Certain {
    Up,
    Down,
}

/// The times at which the active feed certainly was up or down.
#[derive(Debug)]
pub(super) struct CoverageModel {
    before: Delivery,
    pub(super) current: Span,
    /// The length of the certain time in each minute, in milliseconds, by minute number and state.
    minutes: BTreeMap<(u64, Certain), Millis>,
}

impl CoverageModel {
    pub(super) const fn new() -> Self {
        let current = Span { delivery: Delivery::Unconnected, from: 0, to: 0, silence_timeout: 0, batches: 0 };
        Self { before: Delivery::Unconnected, current, minutes: BTreeMap::new() }
    }

    /// Extends the model to the time `to`. The active feed had this delivery since the previous end of the model.
    pub(super) fn extend(&mut self, delivery: Delivery, to: Millis, silence_timeout: Millis) {
        let from = self.current.to;
        if to == from {
            return;
        }
        if delivery != self.current.delivery {
            if let Some((certain, from, to)) = certain(self.before, &self.current, Some(delivery)) {
                for_each_minute(from, to, |minute, length| {
                    *self.minutes.entry((minute, certain)).or_default() += length;
                });
            }
            self.before = self.current.delivery;
            self.current = Span { delivery, from, to, silence_timeout, batches: 0 };
        }
        self.current.to = to;
        self.current.silence_timeout = self.current.silence_timeout.max(silence_timeout);
    }

    pub(super) const fn quoted(&mut self) {
        self.current.batches += 1;
    }

    /// Checks the coverage that the engine reports for the minute with this number.
    pub(super) fn check(&self, reported: Coverage, minute: u64) -> Result<(), String> {
        let of = |certain| self.minutes.get(&(minute, certain)).copied().unwrap_or(0);
        let (mut up, mut down) = (of(Certain::Up), of(Certain::Down));
        if let Some((certain, from, to)) = certain(self.before, &self.current, None) {
            for_each_minute(from, to, |number, length| {
                let sum = if certain == Certain::Up { &mut up } else { &mut down };
                *sum += if number == minute { length } else { 0 };
            });
        }
        let is_possible = match reported {
            Coverage::None => up == 0,
            Coverage::Partial => up < 60_000 && down < 60_000,
            Coverage::Complete => down == 0,
        };
        if is_possible { Ok(()) } else { Err(format!("{reported:?}, though up for {up} ms and down for {down} ms")) }
    }
}

/// Returns the certain state of a span, and the part of the span for which the state is certain.
///
/// `before` and `next` are the deliveries before and after the span.
fn certain(before: Delivery, span: &Span, next: Option<Delivery>) -> Option<(Certain, Millis, Millis)> {
    let Span { delivery, from, to, silence_timeout, batches } = *span;
    let length = to - from;
    let (certain, from, to) = match delivery {
        // A connection that never delivered a quote counts as down from its start.
        Delivery::Silent if batches == 0 && before == Delivery::Unconnected && next == Some(Delivery::Unconnected) => {
            (Certain::Down, from, to)
        }
        Delivery::Silent if length < silence_timeout + 2 * STEP => return None,
        Delivery::Unconnected | Delivery::Silent => (Certain::Down, from, to),
        Delivery::Dripping if length < 2 * DRIP_MARGIN => return None,
        Delivery::Dripping => (Certain::Down, from + DRIP_MARGIN, to),
        Delivery::Supplied if length < CONNECT_MARGIN => return None,
        Delivery::Supplied => {
            let from = if before == Delivery::Unconnected { from } else { from + RECOVERY };
            let to = if next == Some(Delivery::Unconnected) { to } else { to.saturating_sub(DRIP_MARGIN) };
            (Certain::Up, from, to)
        }
    };
    (from < to).then_some((certain, from, to))
}

/// Calls `each` for each minute in `[from, to)`, with the minute number and the length of the minute inside the range.
///
/// Minutes are numbered since the epoch.
fn for_each_minute(from: Millis, to: Millis, mut each: impl FnMut(u64, Millis)) {
    let (mut from, to) = (START + from, START + to);
    while from < to {
        let end = to.min((from / 60_000 + 1) * 60_000);
        each(from / 60_000, end - from);
        from = end;
    }
}
