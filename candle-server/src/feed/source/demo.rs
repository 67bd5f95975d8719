//! A made-up price stream: random walks of any number of instruments on one clock.

use candle_core::Timestamp;

/// What the stream of [`Demo`] looks like.
///
/// ```
/// use candle_server::feed::demo::DemoOptions;
///
/// let options = DemoOptions { instruments: 50_000, ..DemoOptions::default() };
/// assert_eq!(options.speed, 50.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DemoOptions {
    /// How many instruments there are; their ids are 0 to one less.
    pub instruments: u32,
    /// Events a second of wall time; finite and above zero.
    pub rate: f64,
    /// Seconds of the stream's own time in a second of wall time; finite and above zero.
    pub speed: f64,
    /// Equal seeds give equal streams.
    pub seed: u64,
}

impl Default for DemoOptions {
    /// 10 instruments, 5000 events a minute, 50 times as fast as the wall clock: a full chart in under a minute.
    fn default() -> Self {
        Self { instruments: 10, rate: 5000.0 / 60.0, speed: 50.0, seed: 1 }
    }
}

/// One event of the demo stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DemoQuote {
    /// The number of the instrument, which is its id.
    pub instrument: u32,
    /// Its new price, at least [`FLOOR`].
    pub price: f64,
    /// When that was, on the stream's own clock.
    pub time: Timestamp,
}

/// What every price walks from.
pub const FIRST_PRICE: f64 = 10.0;
/// What no price goes below.
pub const FLOOR: f64 = 1.0;

/// The demo stream: an endless iterator that knows neither clock nor pace.
///
/// Each event picks an instrument at random, moves its price by a standard normal step and the stream's clock by
/// `speed / rate` seconds. The events depend on the options and the start alone.
///
/// ```
/// use candle_core::Timestamp;
/// use candle_server::feed::demo::{Demo, DemoOptions};
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
    /// Microseconds of the stream's own time between two events.
    step: f64,
    events: u64,
}

impl Demo {
    /// The stream of `options`, its first event at `start`.
    pub fn new(options: &DemoOptions, start: Timestamp) -> Self {
        Self {
            prices: vec![FIRST_PRICE; options.instruments as usize].into_boxed_slice(),
            random: SplitMix64(options.seed),
            start,
            step: options.speed / options.rate * 1e6,
            events: 0,
        }
    }

    fn time(&self) -> Timestamp {
        // From the start each time, so that roundings never add up.
        #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, and so does the clock")]
        let elapsed = (self.events as f64 * self.step).round() as i64;
        self.start.saturating_add(elapsed)
    }
}

impl Iterator for Demo {
    type Item = DemoQuote;

    /// The next event; `None` only if there is no instrument.
    fn next(&mut self) -> Option<DemoQuote> {
        let time = self.time();
        let instrument = self.random.below(u32::try_from(self.prices.len()).ok()?);
        let price = self.prices.get_mut(instrument as usize)?;
        *price = (*price + self.random.normal()).max(FLOOR);
        self.events += 1;
        Some(DemoQuote { instrument, price: *price, time })
    }
}

/// The generator of Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
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

    /// Uniform from 0 to one less than `bound`, with a bias below 2^-32.
    fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// Uniform above 0 up to and with 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << f64::MANTISSA_DIGITS) as f64
    }

    /// Standard normal, by ratio of uniforms (Leva, "A Fast Normal Random Number Generator", 1992).
    ///
    /// The value itself needs a division only. The logarithm, which platforms may round differently, decides one
    /// draw in eighty and never enters a price.
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
    fn equal_seeds_give_equal_streams_and_others_do_not() {
        let stream = |seed| demo(DemoOptions { seed, ..DemoOptions::default() }).take(1000).collect::<Vec<_>>();
        assert_eq!(stream(7), stream(7));
        assert_ne!(stream(7), stream(8));
    }

    #[test]
    fn the_generator_is_splitmix64() {
        // The first outputs for seed 1234567, from the reference implementation's test vector.
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn its_clock_goes_six_tenths_of_a_second_an_event() {
        let times: Vec<i64> = demo(DemoOptions::default()).take(100_001).map(|quote| quote.time.as_micros()).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 600_000));
    }

    #[test]
    fn every_instrument_gets_its_share() {
        let mut counts = [0_u32; 10];
        for quote in demo(DemoOptions::default()).take(100_000) {
            counts[quote.instrument as usize] += 1;
        }
        // Ten times the standard deviation of 95 either way.
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
    fn prices_walk_from_ten_and_stop_at_the_floor() {
        let quotes: Vec<DemoQuote> =
            demo(DemoOptions { instruments: 1, ..DemoOptions::default() }).take(10_000).collect();
        assert!((quotes[0].price - FIRST_PRICE).abs() < 6.0);
        assert!(quotes.iter().all(|quote| quote.price >= FLOOR && quote.price.is_finite()));
        assert!(quotes.windows(2).all(|pair| (pair[1].price - pair[0].price).abs() < 6.0));
    }

    #[test]
    fn without_instruments_there_is_no_event() {
        assert_eq!(demo(DemoOptions { instruments: 0, ..DemoOptions::default() }).next(), None);
    }

    #[test]
    fn the_clock_stops_at_the_end_of_time() {
        let options = DemoOptions { speed: 1e6, rate: 1e-300, ..DemoOptions::default() };
        assert_eq!(demo(options).nth(1).unwrap().time, Timestamp::MAX);
    }
}
