//! The demo feed: each instrument has a price that changes at random. All quotes use one simulated clock.

use std::time::Duration;

use candle_core::{Tick, Timestamp, Unlisted};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::batch::Batch;
use crate::intake::Intake;
pub use crate::url::DemoOptions;

/// The interval at which due quotes are sent: 10 ms. The steps are not visible on a chart.
const STEP: Duration = Duration::from_millis(10);
/// The maximum number of quotes in one step: 200,000. A demo that is late sends the remaining quotes in the next steps.
const MAX_STEP_QUOTES: usize = 200_000;

/// Sends the quotes of the demo to `intake` in real time, and never returns.
pub(crate) async fn play(intake: &mut Intake, options: &DemoOptions) {
    let ids: Vec<String> = (0..options.instruments).map(|number| number.to_string()).collect();
    let mut demo = Demo::new(options, intake.engine().clock.now());
    let started = Instant::now();
    let mut sent: u64 = 0;
    let mut steps = interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    intake.connected();
    loop {
        steps.tick().await;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
        let due = ((started.elapsed().as_secs_f64() * options.rate) as u64 + 1).saturating_sub(sent);
        let count = usize::try_from(due).unwrap_or(MAX_STEP_QUOTES).min(MAX_STEP_QUOTES);
        let quotes: Vec<DemoQuote> = demo.by_ref().take(count).collect();
        sent += quotes.len() as u64;
        let batch: Vec<(&str, Tick)> = quotes
            .iter()
            .map(|quote| {
                let tick = intake.with_arrival_seq(Tick::new(quote.time, quote.price));
                (ids[quote.instrument as usize].as_str(), tick)
            })
            .collect();
        intake.record(Batch::ById(&batch, Unlisted::List));
    }
}

/// One quote of the demo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DemoQuote {
    /// The number of the instrument. Its decimal digits are the id.
    pub instrument: u32,
    /// The new price, at least [`FLOOR`].
    pub price: f64,
    /// The time of the quote on the demo's clock.
    pub time: Timestamp,
}

/// The initial price of every instrument.
pub const FIRST_PRICE: f64 = 10.0;
/// The minimum price of every instrument.
pub const FLOOR: f64 = 1.0;

/// An endless iterator over the quotes of the demo. It reads no clock of the machine.
///
/// Each quote is for a random instrument, and changes the price by a random number with the standard normal
/// distribution. The demo's clock advances by `speed / rate` seconds per quote. The quotes depend only on the options
/// and the start time.
///
/// ```
/// use candle_core::Timestamp;
/// use candle_feed::source::demo::{Demo, DemoOptions};
///
/// let mut demo = Demo::new(&DemoOptions::default(), Timestamp::EPOCH);
/// assert_eq!(demo.next().unwrap().time, Timestamp::EPOCH);
/// assert_eq!(demo.next().unwrap().time.as_micros(), 600_000);
/// ```
#[derive(Clone, Debug)]
pub struct Demo {
    /// The latest price of each instrument.
    prices: Box<[f64]>,
    random: SplitMix64,
    start: Timestamp,
    /// The time between two quotes on the demo's clock, in microseconds.
    step: f64,
    /// The number of quotes returned so far.
    quotes: u64,
}

impl Demo {
    /// Creates a demo with `options`. Its first quote has the time `start`.
    pub fn new(options: &DemoOptions, start: Timestamp) -> Self {
        Self {
            prices: vec![FIRST_PRICE; options.instruments as usize].into_boxed_slice(),
            random: SplitMix64(options.seed),
            start,
            step: options.speed / options.rate * 1e6,
            quotes: 0,
        }
    }

    fn time(&self) -> Timestamp {
        // Each time is computed from the start, so that rounding errors do not accumulate.
        #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, and so does the clock")]
        let elapsed = (self.quotes as f64 * self.step).round() as i64;
        self.start.saturating_add(elapsed)
    }
}

impl Iterator for Demo {
    type Item = DemoQuote;

    /// Returns the next quote; `None` only if the demo has no instruments.
    fn next(&mut self) -> Option<DemoQuote> {
        let time = self.time();
        let instrument = self.random.below(u32::try_from(self.prices.len()).ok()?);
        let price = self.prices.get_mut(instrument as usize)?;
        *price = (*price + self.random.normal()).max(FLOOR);
        self.quotes += 1;
        Some(DemoQuote { instrument, price: *price, time })
    }
}

/// The random number generator of Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a uniform random number from 0 to `bound - 1`, with a bias below 2^-32.
    fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// Returns a uniform random number in (0, 1].
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << f64::MANTISSA_DIGITS) as f64
    }

    /// Returns a random number with the standard normal distribution.
    ///
    /// The method is the ratio of uniforms (Leva, "A Fast Normal Random Number Generator", 1992). The result is one
    /// division, so all platforms compute equal prices. The logarithm, which platforms may round differently, only
    /// decides whether to accept one draw in eighty.
    #[expect(clippy::many_single_char_names, reason = "the names of the paper")]
    fn normal(&mut self) -> f64 {
        loop {
            let u = self.unit();
            let v = 1.7156 * (self.unit() - 0.5);
            let x = u - 0.449_871;
            let y = v.abs() + 0.386_595;
            let q = x * x + y * (0.196 * y - 0.254_72 * x);
            if q < 0.275_97 || q <= 0.278_46 && v * v <= -4.0 * u * u * u.ln() {
                return v / u;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo(options: DemoOptions) -> Demo {
        Demo::new(&options, Timestamp::from_seconds(1_629_648_467).unwrap())
    }

    #[test]
    fn equal_seeds_give_equal_streams_and_different_seeds_do_not() {
        let stream = |seed| demo(DemoOptions { seed, ..DemoOptions::default() }).take(1000).collect::<Vec<_>>();
        assert_eq!(stream(7), stream(7));
        assert_ne!(stream(7), stream(8));
    }

    #[test]
    fn the_generator_is_splitmix64() {
        // The numbers that the reference implementation returns for the seed 1234567.
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn the_default_clock_advances_by_six_tenths_of_a_second_per_quote() {
        let times: Vec<i64> = demo(DemoOptions::default()).take(100_001).map(|quote| quote.time.as_micros()).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 600_000));
    }

    #[test]
    fn instruments_are_picked_uniformly() {
        let mut counts = [0_u32; 10];
        for quote in demo(DemoOptions::default()).take(100_000) {
            counts[quote.instrument as usize] += 1;
        }
        // The tolerance is ten times the standard deviation of 95.
        assert!(counts.iter().all(|count| (9_050..10_950).contains(count)), "{counts:?}");
    }

    #[test]
    fn steps_are_standard_normal() {
        let mut random = SplitMix64(1);
        let steps: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = |power: i32| steps.iter().map(|step| step.powi(power)).sum::<f64>() / steps.len() as f64;
        assert!(mean(1).abs() < 0.02, "mean {}", mean(1));
        assert!((mean(2) - 1.0).abs() < 0.03, "variance {}", mean(2));
        assert!((mean(4) - 3.0).abs() < 0.2, "fourth moment {}", mean(4));
    }

    #[test]
    fn prices_start_near_ten_and_stop_at_the_floor() {
        let quotes: Vec<DemoQuote> =
            demo(DemoOptions { instruments: 1, ..DemoOptions::default() }).take(10_000).collect();
        assert!((quotes[0].price - FIRST_PRICE).abs() < 6.0);
        assert!(quotes.iter().all(|quote| quote.price >= FLOOR && quote.price.is_finite()));
        assert!(quotes.windows(2).all(|pair| (pair[1].price - pair[0].price).abs() < 6.0));
    }

    #[test]
    fn a_stream_without_instruments_is_empty() {
        assert_eq!(demo(DemoOptions { instruments: 0, ..DemoOptions::default() }).next(), None);
    }

    #[test]
    fn the_clock_saturates_at_the_maximum_timestamp() {
        let options = DemoOptions { speed: 1e6, rate: 1e-300, ..DemoOptions::default() };
        assert_eq!(demo(options).nth(1).unwrap().time, Timestamp::MAX);
    }
}
