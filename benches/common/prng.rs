//! A fixed generator: a seed gives the same ticks in every version and every language.

/// The generator `SplitMix64`. The `n`-th number depends only on the seed and `n`, so any
/// language can generate the numbers.
#[derive(Clone, Copy, Debug)]
pub struct Prng(u64);

impl Prng {
    /// Creates the generator of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`, which is at most 2^32. The bias is below one in 2^31.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next_u64() >> 32) * bound) >> 32
    }

    /// Returns a number from 0 to 1.
    pub const fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Prng;

    #[test]
    fn the_first_numbers_of_a_seed_are_fixed() {
        let mut prng = Prng::new(1_234_567);
        assert_eq!([prng.next_u64(), prng.next_u64()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }
}
