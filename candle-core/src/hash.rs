//! The hash that spreads ids over stripes and over the table of a stripe.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_nano_inline};

/// A seeded, portable hash of instrument ids (rapidhash V3).
///
/// Hashes depend on the seed only, on every machine and in every version. An instrument of a stored stripe therefore
/// belongs to the same stripe after it is restored.
///
/// Threat: an attacker lists ids that all fall into one stripe, or into one chain of a table. The seed prevents this,
/// because it is random unless the caller sets it.
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
    fn hashes_are_those_of_stored_snapshots() {
        let hash = IdHash::new(1);
        assert_eq!([hash.of(b"0"), hash.of(b"QV532Y814406")], [6_211_833_814_371_096_846, 8_641_025_675_982_998_096]);
    }
}
