//! Caches the response of `/instruments/popular` for 100 ms.

use std::time::Duration;

use parking_lot::Mutex;

use crate::server::CacheableResponse;

/// The time for which a response is reused. People do not notice 100 ms, and the ten histories are then rarely read.
pub(super) const REUSE: Duration = Duration::from_millis(100);

/// The last response, which is reused for [`REUSE`]. All times are on the monotonic clock of the server.
#[derive(Debug, Default)]
pub(super) struct PopularCache(Mutex<Option<CachedPopular>>);

#[derive(Debug)]
struct CachedPopular {
    /// The time at which the histories in the response were read.
    written: Duration,
    /// The time at which a caller last began to write a newer response.
    renewed: Duration,
    response: CacheableResponse,
}

impl PopularCache {
    /// Returns the cached response, or `None` if the caller must write a new response.
    ///
    /// While one caller writes a new response, other callers get the old response until its age is twice [`REUSE`].
    /// After that, every caller writes a new response.
    pub(super) fn get(&self, elapsed: Duration) -> Option<CacheableResponse> {
        let mut cache = self.0.lock();
        let cached = cache.as_mut()?;
        let (age, since_renewal) = (elapsed.saturating_sub(cached.written), elapsed.saturating_sub(cached.renewed));
        if age < REUSE || (age < 2 * REUSE && since_renewal < REUSE) {
            return Some(cached.response.clone());
        }
        cached.renewed = elapsed;
        None
    }

    /// Stores a response whose histories were read at the time `elapsed`. Does nothing if a newer response is stored.
    pub(super) fn insert(&self, elapsed: Duration, response: CacheableResponse) {
        let mut cache = self.0.lock();
        if cache.as_ref().is_none_or(|cached| cached.written <= elapsed) {
            *cache = Some(CachedPopular { written: elapsed, renewed: elapsed, response });
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn filled(written: Duration) -> PopularCache {
        let cache = PopularCache::default();
        let body = Default::default();
        cache.insert(written, CacheableResponse::new(body, HeaderValue::from_static("W/\"\"")));
        cache
    }

    #[test]
    fn while_one_caller_writes_the_others_get_the_old_response() {
        let written = Duration::from_secs(5);
        assert!(PopularCache::default().get(written).is_none(), "nothing is stored yet");
        let cache = filled(written);
        let later = written + REUSE;
        assert!(cache.get(later).is_none(), "the first caller must write");
        assert!(cache.get(later).is_some());
        assert!(cache.get(later + REUSE / 2).is_some());
        assert!(cache.get(later + REUSE).is_none());
        assert!(cache.get(later + REUSE).is_none(), "the old response is too old for all callers");
    }
}
