//! The hash that spreads ids over stripes and over a stripe's table.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_nano_inline};

/// A seeded, portable hash of instrument ids (rapidhash V3).
///
/// The same seed gives the same hashes on every machine and in every version, so that a stored stripe is the same
/// stripe when it is read back. The threat considered: whoever can list instruments chooses ids that all fall into one
/// stripe or one chain of its table. They do not know the seed, which is drawn at random unless the caller names one.
#[derive(Debug)]
pub(crate) struct IdHash {
    secrets: RapidSecrets,
}

impl IdHash {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { secrets: RapidSecrets::seed(seed) }
    }

    #[inline]
    pub(crate) fn of(&self, id: &[u8]) -> u64 {
        rapidhash_v3_nano_inline::<true, true>(id, &self.secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_stays_what_stored_snapshots_were_made_with() {
        let hash = IdHash::new(1);
        assert_eq!([hash.of(b"0"), hash.of(b"QV532Y814406")], [6_211_833_814_371_096_846, 8_641_025_675_982_998_096]);
    }
}
