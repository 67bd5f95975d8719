//! Log lines about bad input, at a bounded rate.

use std::time::Duration;

use candle_core::ListError;

use crate::message::Unreadable;

/// At most one line in this time: enough to notice, too few to fill a disk.
const EVERY: Duration = Duration::from_secs(1);

/// How many bytes of a bad message are shown: enough to recognise it.
const SHOWN_BYTES: usize = 80;

/// Says what is wrong with a feed's input, and how often it went unsaid.
#[derive(Debug, Default)]
pub(super) struct Grumble {
    last: Option<Duration>,
    unsaid: u64,
}

impl Grumble {
    /// A message that could not be read; its first bytes are shown, escaped.
    pub(super) fn unreadable(&mut self, now: Duration, reason: Unreadable, message: &[u8]) {
        if let Some(unsaid) = self.may_say(now) {
            let start = message[..message.len().min(SHOWN_BYTES)].escape_ascii();
            tracing::warn!(bytes = message.len(), unsaid, "unreadable: {reason}: {start}");
        }
    }

    /// An instrument that the feed announced and that was not listed.
    pub(super) fn unlisted(&mut self, now: Duration, error: &ListError) {
        if let Some(unsaid) = self.may_say(now) {
            tracing::warn!(unsaid, "an instrument is not listed: {error}");
        }
    }

    /// How many lines went unsaid since the last one, if one may be said at `now`.
    fn may_say(&mut self, now: Duration) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_sub(last) < EVERY) {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_second() {
        let mut grumble = Grumble::default();
        let said: Vec<_> = (0..2500).filter_map(|millis| grumble.may_say(Duration::from_millis(millis))).collect();
        assert_eq!(said, [0, 999, 999]);
    }
}
