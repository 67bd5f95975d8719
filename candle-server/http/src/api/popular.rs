//! The last response of `/instruments/popular`, reused for a moment.

use std::time::Duration;

use parking_lot::Mutex;

use crate::server::CacheableResponse;

/// Time for which the response is reused: people do not notice, and ten histories then cost as much as one.
pub(super) const REUSE: Duration = Duration::from_millis(100);

/// A response that is reused for [`REUSE`]. All times are on the server's monotonic clock.
#[derive(Debug, Default)]
pub(super) struct PopularCache(Mutex<Option<CachedPopular>>);

#[derive(Debug)]
struct CachedPopular {
    /// The time of the content.
    written: Duration,
    /// The time at which a caller last started to write a newer response.
    renewed: Duration,
    response: CacheableResponse,
}

impl PopularCache {
    /// Returns the response, or `None` if the caller is to write a new one.
    ///
    /// While one caller writes, the others get the old response, up to an age of two [`REUSE`]. If the response is older
    /// because no request came for a while, every caller writes its own.
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

    /// Stores a response with the content of the time `elapsed`, unless a newer one is stored.
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
        assert!(cache.get(later).is_none(), "the first caller is to write");
        assert!(cache.get(later).is_some());
        assert!(cache.get(later + REUSE / 2).is_some());
        assert!(cache.get(later + REUSE).is_none());
        assert!(cache.get(later + REUSE).is_none(), "a response of two reuses is too old for everyone");
    }
}
