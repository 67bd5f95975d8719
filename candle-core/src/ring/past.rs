//! The candles of a ring except the newest one, as a slice that a ring or a stripe owns.

use crate::candle::Candle;
use crate::interval::OpenTime;
use crate::outcome::Outcome;
use crate::validator::ValidTick;
use crate::window::Window;

/// Returns the number of slots of a ring: one for each interval of the span, and the last one for the evicted candle.
///
/// Slot `n % span` contains the candle with number `n`, for the intervals before the newest candle. Every other slot is
/// empty. The slots therefore depend on the candles only, and rings with the same candles are equal. The evicted candle is
/// the newest one that left the ring. Its close fills the first intervals of the window.
pub(crate) const fn slots(window: Window) -> usize {
    window.stored() + 1
}

/// The slots of a ring with write access.
#[derive(Debug)]
pub(crate) struct PastMut<'a> {
    pub(super) window: Window,
    pub(super) slots: &'a mut [Option<Candle>],
}

impl<'a> PastMut<'a> {
    pub(crate) const fn new(window: Window, slots: &'a mut [Option<Candle>]) -> Self {
        Self { window, slots }
    }

    /// Makes `candle` the evicted candle, unless the present one is newer.
    pub(super) fn evict(&mut self, candle: Candle) {
        let evicted = &mut self.slots[self.window.stored()];
        *evicted = match *evicted {
            Some(evicted) if evicted.opens_at() > candle.opens_at() => Some(evicted),
            Some(evicted) => Some(evicted.merged(&candle).unwrap_or(candle)),
            None => Some(candle),
        };
    }

    /// Makes room for a candle that opens at `to`, which is after that of `newest`. Moves `newest` into its slot, and evicts
    /// the candles that are a span or more before `to`, the oldest first. Calls `left` with each of them.
    pub(super) fn advance(&mut self, newest: Candle, to: OpenTime, mut left: impl FnMut(&Candle)) {
        let window = self.window;
        let mut slot = window.slot(newest.opens_at());
        self.slots[slot] = Some(newest);
        // The slots that belong to the intervals after `newest`, up to `to`: at most all of them. The first of them holds the
        // oldest candle, so the newest one that leaves remains as the evicted candle.
        let steps = window.interval().number(OpenTime(to.0 - newest.opens_at().0));
        let leaving = usize::try_from(steps).unwrap_or(usize::MAX).min(window.stored());
        for _ in 0..leaving {
            slot = if slot + 1 == window.stored() { 0 } else { slot + 1 };
            if let Some(candle) = self.slots[slot].take() {
                left(&candle);
                self.evict(candle);
            }
        }
    }

    /// Adds a tick to its candle, which is before the newest one.
    pub(super) fn record(&mut self, tick: &ValidTick) -> (&mut Candle, Outcome) {
        match &mut self.slots[self.window.slot(tick.open)] {
            Some(candle) => {
                candle.update_any(tick);
                (candle, Outcome::Updated)
            }
            empty => (empty.insert(Candle::opened(tick, self.window.interval())), Outcome::Opened),
        }
    }
}

/// The slots of a ring by itself. Those of the default window are stored inline, so that a copy of them allocates nothing.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "the large variant is the usual one")]
pub(crate) enum Slots {
    Inline([Option<Candle>; INLINE]),
    Boxed(Box<[Option<Candle>]>),
}

const INLINE: usize = slots(Window::DEFAULT);

impl Slots {
    pub(super) fn empty(window: Window) -> Self {
        match slots(window) {
            INLINE => Self::Inline([None; INLINE]),
            len => Self::Boxed(vec![None; len].into()),
        }
    }

    #[inline]
    pub(super) fn copied(slots: &[Option<Candle>]) -> Self {
        // By reference, so that the candles are copied once.
        match <&[Option<Candle>; INLINE]>::try_from(slots) {
            Ok(slots) => Self::Inline(*slots),
            Err(_) => Self::Boxed(slots.into()),
        }
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[Option<Candle>] {
        match self {
            Self::Inline(slots) => slots,
            Self::Boxed(slots) => slots,
        }
    }

    #[inline]
    pub(super) fn as_mut_slice(&mut self) -> &mut [Option<Candle>] {
        match self {
            Self::Inline(slots) => slots,
            Self::Boxed(slots) => slots,
        }
    }
}
