//! Of which minutes the active feed truly brought all there was, as far as anybody could tell.

use std::collections::BTreeMap;

use candle_core::Coverage;

use super::Millis;
use super::tape::{EPOCH, STEP};
use super::trouble::Trouble;

/// How long a feed that is back within a connection counts as slow, at most.
const MOMENT: Millis = 2_500;
/// How far before a trickle its slowness may be dated, and how long into it: its silence_timeout and a quote or two.
const TRICKLE: Millis = 4_000;
/// How long a connection must have lasted for its first quotes to be sure: a catalogue may come late.
const SURE: Millis = 3_000;

/// What a feed does for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// There is no connection.
    Unconnected,
    /// There is, and nothing comes.
    Silent,
    /// A little comes.
    Dripping,
    /// All comes, soon or late.
    Supplied,
}

impl From<Trouble> for Kind {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::None | Trouble::Late(_) => Self::Supplied,
            Trouble::Mute | Trouble::Frozen => Self::Silent,
            Trouble::Drip => Self::Dripping,
            Trouble::Dead | Trouble::Restart => Self::Unconnected,
        }
    }
}

/// A time of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) kind: Kind,
    pub(super) from: Millis,
    pub(super) to: Millis,
    /// The longest silence that was no news meanwhile.
    silence_timeout: Millis,
    /// How many quotes came.
    quotes: u64,
}

/// What is certain of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Certain {
    Up,
    Down,
}

/// When the active feed was up and when it was down.
#[derive(Debug)]
pub(super) struct Supply {
    before: Kind,
    pub(super) present: Span,
    /// For how long each minute was certainly what.
    minutes: BTreeMap<(u64, Certain), Millis>,
}

impl Supply {
    pub(super) const fn new() -> Self {
        let present = Span { kind: Kind::Unconnected, from: 0, to: 0, silence_timeout: 0, quotes: 0 };
        Self { before: Kind::Unconnected, present, minutes: BTreeMap::new() }
    }

    /// The active feed did this up to `to`; silence was news after `silence_timeout`.
    pub(super) fn goes_on(&mut self, kind: Kind, to: Millis, silence_timeout: Millis) {
        let from = self.present.to;
        if to == from {
            return;
        }
        if kind != self.present.kind {
            if let Some((certain, from, to)) = certain(self.before, &self.present, Some(kind)) {
                for_each_minute(from, to, |minute, length| {
                    *self.minutes.entry((minute, certain)).or_default() += length;
                });
            }
            self.before = self.present.kind;
            self.present = Span { kind, from, to, silence_timeout, quotes: 0 };
        }
        self.present.to = to;
        self.present.silence_timeout = self.present.silence_timeout.max(silence_timeout);
    }

    pub(super) const fn quoted(&mut self) {
        self.present.quotes += 1;
    }

    /// Whether `told` may be the coverage of the minute of this number.
    pub(super) fn allows(&self, told: Coverage, minute: u64) -> Result<(), String> {
        let of = |certain| self.minutes.get(&(minute, certain)).copied().unwrap_or(0);
        let (mut up, mut down) = (of(Certain::Up), of(Certain::Down));
        if let Some((certain, from, to)) = certain(self.before, &self.present, None) {
            for_each_minute(from, to, |number, length| {
                let sum = if certain == Certain::Up { &mut up } else { &mut down };
                *sum += if number == minute { length } else { 0 };
            });
        }
        let is_true = match told {
            Coverage::None => up == 0,
            Coverage::Partial => up < 60_000 && down < 60_000,
            Coverage::Complete => down == 0,
        };
        if is_true { Ok(()) } else { Err(format!("{told:?}, though up for {up} ms and down for {down} ms")) }
    }
}

/// What is certain of a span and for which part of it: `next` is what followed, once that is known.
fn certain(before: Kind, span: &Span, next: Option<Kind>) -> Option<(Certain, Millis, Millis)> {
    let Span { kind, from, to, silence_timeout, quotes } = *span;
    let length = to - from;
    let (certain, from, to) = match kind {
        // It never was any good.
        Kind::Silent if quotes == 0 && before == Kind::Unconnected && next == Some(Kind::Unconnected) => {
            (Certain::Down, from, to)
        }
        Kind::Silent if length < silence_timeout + 2 * STEP => return None,
        Kind::Unconnected | Kind::Silent => (Certain::Down, from, to),
        Kind::Dripping if length < 2 * TRICKLE => return None,
        Kind::Dripping => (Certain::Down, from + TRICKLE, to),
        Kind::Supplied if length < SURE => return None,
        Kind::Supplied => {
            let from = if before == Kind::Unconnected { from } else { from + MOMENT };
            let to = if next == Some(Kind::Unconnected) { to } else { to.saturating_sub(TRICKLE) };
            (Certain::Up, from, to)
        }
    };
    (from < to).then_some((certain, from, to))
}

/// The parts of each minute that lie in `[from, to)`, minutes by their number since the epoch.
fn for_each_minute(from: Millis, to: Millis, mut each: impl FnMut(u64, Millis)) {
    let (mut from, to) = (EPOCH + from, EPOCH + to);
    while from < to {
        let end = to.min((from / 60_000 + 1) * 60_000);
        each(from / 60_000, end - from);
        from = end;
    }
}
