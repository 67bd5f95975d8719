//! A partner's random life: what it says, and when.

use std::array::from_fn;
use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

use super::Message;
use crate::rate::Rate;

/// Prices never walk below this, so that they stay positive.
const MIN_PRICE: f64 = 1.0;

/// By how much a disorderly quote misses its instrument's life: long enough that no receiver is right by luck.
const DISORDER: Duration = Duration::from_millis(200);

/// One new instrument in this many takes over the id that was deleted last.
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

/// What sort of life a partner has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeOptions {
    /// Equal options and seeds give equal lives.
    pub seed: u64,
    /// How many instruments there are at first, and about how many later.
    pub instruments: u32,
    /// Quotes, over all instruments.
    pub rate: Rate,
    /// The mean time between an ADD or a DELETE and the next; `None` for never.
    pub churn: Option<Duration>,
    /// How many ADDs in a hundred come after a first quote, and DELETEs before a last one; all from 100 on.
    pub disorder: u8,
}

/// An endless sequence of messages, each with the partner's age when it says it; ages never fall.
///
/// ```
/// use examples::partner::{Life, LifeOptions};
/// use std::time::Duration;
///
/// let options = LifeOptions {
///     seed: 1,
///     instruments: 20,
///     rate: "100/s".parse()?,
///     churn: Some(Duration::from_secs(30)),
///     disorder: 0,
/// };
/// assert!(Life::new(options).take(1000).eq(Life::new(options).take(1000)));
/// # Ok::<(), examples::rate::ParseRateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Life {
    options: LifeOptions,
    rng: Rng,
    live: Vec<Listing>,
    /// What is decided and not yet said, in the order of its times: whatever joins later is due later.
    due: VecDeque<(Duration, Due)>,
    /// The id deleted last.
    retired: Option<String>,
    next_quote: Duration,
    /// The age at the next ADD or DELETE.
    next_change: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Due {
    Add(Listing),
    /// A quote after the DELETE.
    Stray(Listing),
}

#[derive(Clone, Debug)]
struct Listing {
    isin: String,
    description: String,
    price: f64,
}

impl Life {
    /// A life that starts by adding all its instruments.
    pub fn new(options: LifeOptions) -> Self {
        let mut rng = Rng::with_seed(options.seed);
        let due = (0..options.instruments)
            .map(|_| {
                let isin = random_isin(&mut rng);
                (Duration::ZERO, Due::Add(Listing::random(isin, &mut rng)))
            })
            .collect();
        let next_change = options.churn.map(|mean| random_wait(mean, &mut rng));
        Self { options, rng, live: Vec::new(), due, retired: None, next_quote: options.rate.gap(), next_change }
    }

    fn say(&mut self, due: Due) -> Message {
        match due {
            Due::Add(listing) => {
                let message = listing.add();
                self.live.push(listing);
                message
            }
            Due::Stray(listing) => listing.quote(),
        }
    }

    /// An ADD or a DELETE: the fewer instruments there are, the likelier an ADD, and on average there are as many as at
    /// first.
    fn change(&mut self, age: Duration) -> Message {
        let room = 2 * self.options.instruments as usize;
        let disorderly = self.rng.u8(..100) < self.options.disorder;
        if self.rng.usize(..room.max(1)) < self.live.len() {
            let index = self.rng.usize(..self.live.len());
            let listing = self.live.swap_remove(index);
            let message = listing.delete();
            self.retired = Some(listing.isin.clone());
            if disorderly {
                self.due.push_back((age + DISORDER, Due::Stray(listing)));
            }
            message
        } else {
            let reused = if self.rng.u32(..REUSE) == 0 { self.retired.take() } else { None };
            let isin = reused.unwrap_or_else(|| random_isin(&mut self.rng));
            let listing = Listing::random(isin, &mut self.rng);
            if disorderly {
                let message = listing.quote();
                self.due.push_back((age + DISORDER, Due::Add(listing)));
                message
            } else {
                self.say(Due::Add(listing))
            }
        }
    }

    fn quote(&mut self) -> Option<Message> {
        let index = self.rng.choice(0..self.live.len())?;
        let listing = &mut self.live[index];
        listing.price = to_four_decimals((listing.price + 2.0 * self.rng.f64() - 1.0).max(MIN_PRICE));
        Some(listing.quote())
    }
}

impl Iterator for Life {
    type Item = (Duration, Message);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let change = self.next_change.filter(|age| *age <= self.next_quote);
            let planned = change.unwrap_or(self.next_quote);
            if self.due.front().is_some_and(|(age, _)| *age <= planned) {
                let (age, due) = self.due.pop_front()?;
                return Some((age, self.say(due)));
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

/// Two letters, nine letters or digits, one digit: the shape of an ISIN, without its checksum. Two alike among the
/// 6 * 10^17 there are would share one instrument, which does no harm.
fn random_isin(rng: &mut Rng) -> String {
    const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    (0..12)
        .map(|place| match place {
            0..2 => rng.usize(..26),
            2..11 => rng.usize(..36),
            _ => rng.usize(26..36),
        })
        .map(|index| char::from(ALPHABET[index]))
        .collect()
}

/// The time to the next of independent events that are `mean` apart on average.
fn random_wait(mean: Duration, rng: &mut Rng) -> Duration {
    // 1 - f64() is never 0, so the logarithm is at most 37 in size.
    mean.mul_f64(-(1.0 - rng.f64()).ln())
}

fn to_four_decimals(price: f64) -> f64 {
    (price * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn life(churn: Option<Duration>, disorder: u8) -> Life {
        Life::new(LifeOptions { seed: 7, instruments: 20, rate: "100/s".parse().unwrap(), churn, disorder })
    }

    /// How many quotes of instruments that are not live there are in the first 100,000 messages.
    fn strays_of(messages: Life) -> usize {
        let mut live = BTreeSet::new();
        let mut strays = 0;
        for (_, message) in messages.take(100_000) {
            match message {
                Message::Add { isin, .. } => assert!(live.insert(isin), "added twice"),
                Message::Delete { isin, .. } => assert!(live.remove(&isin), "deleted without having been added"),
                Message::Quote { isin, .. } => strays += usize::from(!live.contains(&isin)),
            }
        }
        strays
    }

    #[test]
    fn an_orderly_life_quotes_live_instruments_alone() {
        assert_eq!(strays_of(life(Some(Duration::from_millis(500)), 0)), 0);
    }

    #[test]
    fn a_disorderly_life_has_a_stray_quote_for_each_change() {
        let changes = life(Some(Duration::from_millis(500)), 0)
            .take(100_000)
            .filter(|(_, message)| !matches!(message, Message::Quote { .. }))
            .count();
        let strays = strays_of(life(Some(Duration::from_millis(500)), 100));
        assert!(strays > changes / 2, "{strays} strays, {changes} changes");
    }

    #[test]
    fn ages_never_fall_and_quotes_keep_their_rate() {
        let mut last = Duration::ZERO;
        for (age, _) in life(Some(Duration::from_millis(50)), 50).take(100_000) {
            assert!(age >= last);
            last = age;
        }
        let (age, _) = life(None, 0).nth(20 + 999).unwrap();
        assert_eq!(age, Duration::from_secs(10), "the thousandth quote after twenty ADDs");
    }

    #[test]
    fn another_seed_is_another_life() {
        let mut other = life(None, 0).options;
        other.seed = 8;
        assert_ne!(life(None, 0).next(), Life::new(other).next());
    }

    #[test]
    fn prices_are_positive_and_have_four_decimals() {
        for (_, message) in life(Some(Duration::from_millis(50)), 0).take(100_000) {
            if let Message::Quote { price, .. } = message {
                assert!(price >= MIN_PRICE);
                assert!(price.to_string().split('.').nth(1).is_none_or(|decimals| decimals.len() <= 4), "{price}");
            }
        }
    }
}
