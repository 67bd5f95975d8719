//! One standard mutex around one standard map: a usual solution without contention.

use std::collections::HashMap;
use std::sync::Mutex;

use candle_core::Tick;

use super::plain::{PlainCandle, WINDOW_MINUTES, minute_of};

/// The candles by id, oldest first.
#[derive(Debug)]
pub struct MutexHashMap(Mutex<HashMap<String, Vec<PlainCandle>>>);

impl MutexHashMap {
    /// Creates the series of these ids, without candles.
    pub fn new(ids: &[String]) -> Self {
        Self(Mutex::new(ids.iter().map(|id| (id.clone(), Vec::with_capacity(WINDOW_MINUTES))).collect()))
    }

    /// Adds a tick.
    ///
    /// # Panics
    /// Panics if another thread panicked while it held the lock.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick) {
        let mut map = self.0.lock().expect("no thread panics while it holds the lock");
        let Some(candles) = map.get_mut(id) else {
            map.insert(id.to_owned(), vec![PlainCandle::opened(minute_of(tick), tick)]);
            return;
        };
        let minute = minute_of(tick);
        match candles.last_mut() {
            Some(candle) if candle.minute == minute => candle.update(tick),
            _ => {
                if candles.len() == WINDOW_MINUTES {
                    candles.remove(0);
                }
                candles.push(PlainCandle::opened(minute, tick));
            }
        }
    }
}
