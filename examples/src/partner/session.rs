//! A random sequence of a partner's messages, with their times.

use std::array::from_fn;
use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

use super::Message;
use crate::rate::Rate;

/// The lowest price of the random walk, so that prices stay positive.
const MIN_PRICE: f64 = 1.0;

/// The time between a quote out of order and its ADD or DELETE: too long to be handled correctly by chance.
const DISORDER: Duration = Duration::from_millis(200);

/// One of this many new instruments reuses the id that was deleted last.
const REUSE: u32 = 4;

const WORDS: [&str; 16] = [
    "lorem",
    "ipsum",
    "dolor",
    "consectetur",
    "adipiscing",
    "luptatum",
    "senectus",
    "noluisse",
    "nulla",
    "dictumst",
    "vivamus",
    "pretium",
    "tellus",
    "viverra",
    "egestas",
    "mauris",
];

/// The settings of a [`RandomSession`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// The seed. Sessions with equal settings are equal.
    pub seed: u64,
    /// The number of instruments at the start, and on average.
    pub instruments: u32,
    /// The rate of quotes of all instruments together.
    pub rate: Rate,
    /// The mean time between an ADD or DELETE and the next; `None` for none.
    pub churn: Option<Duration>,
    /// The percentage of ADDs that follow a first quote, and of DELETEs that precede a last one.
    pub disorder: u8,
}

/// An endless sequence of messages, each with its time since the start. Times never decrease.
///
/// ```
/// use examples::partner::{RandomSession, SessionOptions};
/// use std::time::Duration;
///
/// let options = SessionOptions {
///     seed: 1,
///     instruments: 20,
///     rate: "100/s".parse()?,
///     churn: Some(Duration::from_secs(30)),
///     disorder: 0,
/// };
/// assert!(RandomSession::new(options).take(1000).eq(RandomSession::new(options).take(1000)));
/// # Ok::<(), examples::rate::ParseRateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomSession {
    options: SessionOptions,
    rng: Rng,
    listed: Vec<Listing>,
    /// Messages that are decided but not due yet, in the order of their times.
    scheduled: VecDeque<(Duration, Scheduled)>,
    /// The id that was deleted last.
    deleted: Option<String>,
    next_quote: Duration,
    /// The time of the next ADD or DELETE.
    next_change: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Scheduled {
    Add(Listing),
    /// A quote after the DELETE of its instrument.
    LateQuote(Listing),
}

#[derive(Clone, Debug)]
struct Listing {
    isin: String,
    description: String,
    price: f64,
}

impl RandomSession {
    /// Creates a session that starts with an ADD of every instrument.
    pub fn new(options: SessionOptions) -> Self {
        let mut rng = Rng::with_seed(options.seed);
        let scheduled = (0..options.instruments)
            .map(|_| {
                let isin = random_isin(&mut rng);
                (Duration::ZERO, Scheduled::Add(Listing::random(isin, &mut rng)))
            })
            .collect();
        let next_change = options.churn.map(|mean| random_wait(mean, &mut rng));
        Self { options, rng, listed: Vec::new(), scheduled, deleted: None, next_quote: options.rate.gap(), next_change }
    }

    fn send(&mut self, scheduled: Scheduled) -> Message {
        match scheduled {
            Scheduled::Add(listing) => {
                let message = listing.add();
                self.listed.push(listing);
                message
            }
            Scheduled::LateQuote(listing) => listing.quote(),
        }
    }

    /// Returns an ADD or a DELETE. The probabilities keep the average number of instruments at its start.
    fn change(&mut self, time: Duration) -> Message {
        let room = 2 * self.options.instruments as usize;
        let is_out_of_order = self.rng.u8(..100) < self.options.disorder;
        if self.rng.usize(..room.max(1)) < self.listed.len() {
            let index = self.rng.usize(..self.listed.len());
            let listing = self.listed.swap_remove(index);
            let message = listing.delete();
            self.deleted = Some(listing.isin.clone());
            if is_out_of_order {
                self.scheduled.push_back((time + DISORDER, Scheduled::LateQuote(listing)));
            }
            message
        } else {
            let reused = if self.rng.u32(..REUSE) == 0 { self.deleted.take() } else { None };
            let isin = reused.unwrap_or_else(|| random_isin(&mut self.rng));
            let listing = Listing::random(isin, &mut self.rng);
            if is_out_of_order {
                let message = listing.quote();
                self.scheduled.push_back((time + DISORDER, Scheduled::Add(listing)));
                message
            } else {
                self.send(Scheduled::Add(listing))
            }
        }
    }

    fn quote(&mut self) -> Option<Message> {
        let index = self.rng.choice(0..self.listed.len())?;
        let listing = &mut self.listed[index];
        listing.price = to_four_decimals((listing.price + 2.0 * self.rng.f64() - 1.0).max(MIN_PRICE));
        Some(listing.quote())
    }
}

impl Iterator for RandomSession {
    type Item = (Duration, Message);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let change = self.next_change.filter(|time| *time <= self.next_quote);
            let planned = change.unwrap_or(self.next_quote);
            if self.scheduled.front().is_some_and(|(time, _)| *time <= planned) {
                let (time, scheduled) = self.scheduled.pop_front()?;
                return Some((time, self.send(scheduled)));
            }
            if change.is_some() {
                self.next_change = self.options.churn.map(|mean| planned + random_wait(mean, &mut self.rng));
                return Some((planned, self.change(planned)));
            }
            self.next_quote += self.options.rate.gap();
            if let Some(message) = self.quote() {
                return Some((planned, message));
            }
        }
    }
}

impl Listing {
    fn random(isin: String, rng: &mut Rng) -> Self {
        let description = from_fn::<_, 3, _>(|_| WORDS[rng.usize(..WORDS.len())]).join(" ");
        let price = to_four_decimals(10.0 + 990.0 * rng.f64());
        Self { isin, description, price }
    }

    fn add(&self) -> Message {
        Message::Add { isin: self.isin.clone(), description: self.description.clone() }
    }

    fn delete(&self) -> Message {
        Message::Delete { isin: self.isin.clone(), description: self.description.clone() }
    }

    fn quote(&self) -> Message {
        Message::Quote { isin: self.isin.clone(), price: self.price }
    }
}

/// Returns a random text of the form of an ISIN, without its checksum: two letters, nine letters or digits, one digit.
///
/// Two equal ids among the 6 * 10^17 possible ones would share one instrument, which does no harm.
fn random_isin(rng: &mut Rng) -> String {
    const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    (0..12)
        .map(|position| match position {
            0..2 => rng.usize(..26),
            2..11 => rng.usize(..36),
            _ => rng.usize(26..36),
        })
        .map(|index| char::from(ALPHABET[index]))
        .collect()
}

/// Returns a random time to the next of independent events, with the mean `mean`.
fn random_wait(mean: Duration, rng: &mut Rng) -> Duration {
    // 1 - f64() is never 0, so the magnitude of the logarithm is at most 37.
    mean.mul_f64(-(1.0 - rng.f64()).ln())
}

fn to_four_decimals(price: f64) -> f64 {
    (price * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn session(churn: Option<Duration>, disorder: u8) -> RandomSession {
        RandomSession::new(SessionOptions { seed: 7, instruments: 20, rate: "100/s".parse().unwrap(), churn, disorder })
    }

    /// Counts the quotes of unlisted instruments among the first 100,000 messages.
    fn unlisted_quotes(session: RandomSession) -> usize {
        let mut listed = BTreeSet::new();
        let mut unlisted = 0;
        for (_, message) in session.take(100_000) {
            match message {
                Message::Add { isin, .. } => assert!(listed.insert(isin), "added twice"),
                Message::Delete { isin, .. } => assert!(listed.remove(&isin), "deleted without having been added"),
                Message::Quote { isin, .. } => unlisted += usize::from(!listed.contains(&isin)),
            }
        }
        unlisted
    }

    #[test]
    fn without_disorder_only_listed_instruments_are_quoted() {
        assert_eq!(unlisted_quotes(session(Some(Duration::from_millis(500)), 0)), 0);
    }

    #[test]
    fn with_full_disorder_every_change_has_a_quote_of_an_unlisted_instrument() {
        let changes = session(Some(Duration::from_millis(500)), 0)
            .take(100_000)
            .filter(|(_, message)| !matches!(message, Message::Quote { .. }))
            .count();
        let unlisted = unlisted_quotes(session(Some(Duration::from_millis(500)), 100));
        assert!(unlisted > changes / 2, "{unlisted} quotes of unlisted instruments, {changes} changes");
    }

    #[test]
    fn times_never_decrease_and_quotes_have_their_rate() {
        let mut last = Duration::ZERO;
        for (time, _) in session(Some(Duration::from_millis(50)), 50).take(100_000) {
            assert!(time >= last);
            last = time;
        }
        let (time, _) = session(None, 0).nth(20 + 999).unwrap();
        assert_eq!(time, Duration::from_secs(10), "the thousandth quote after twenty ADDs");
    }

    #[test]
    fn another_seed_gives_another_session() {
        let mut other = session(None, 0).options;
        other.seed = 8;
        assert_ne!(session(None, 0).next(), RandomSession::new(other).next());
    }

    #[test]
    fn prices_are_positive_and_have_four_decimals() {
        for (_, message) in session(Some(Duration::from_millis(50)), 0).take(100_000) {
            if let Message::Quote { price, .. } = message {
                assert!(price >= MIN_PRICE);
                assert!(price.to_string().split('.').nth(1).is_none_or(|decimals| decimals.len() <= 4), "{price}");
            }
        }
    }
}
