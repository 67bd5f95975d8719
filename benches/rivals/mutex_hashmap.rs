//! One standard mutex around one standard map: what a program that never met contention has.

use std::collections::HashMap;
use std::sync::Mutex;

use candle_core::Tick;

use super::bar::{Bar, KEPT_MINUTES, minute_of};

/// Candles by id, oldest first.
#[derive(Debug)]
pub struct MutexHashMap(Mutex<HashMap<String, Vec<Bar>>>);

impl MutexHashMap {
    /// All of these, without candles yet.
    pub fn new(ids: &[String]) -> Self {
        Self(Mutex::new(ids.iter().map(|id| (id.clone(), Vec::with_capacity(KEPT_MINUTES))).collect()))
    }

    /// Folds a tick in.
    ///
    /// # Panics
    /// When another thread panicked while it held the lock.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick) {
        let mut map = self.0.lock().expect("nobody panics while holding it");
        let Some(bars) = map.get_mut(id) else {
            map.insert(id.to_owned(), vec![Bar::opened(minute_of(tick), tick)]);
            return;
        };
        let minute = minute_of(tick);
        match bars.last_mut() {
            Some(bar) if bar.minute == minute => bar.update(tick),
            _ => {
                if bars.len() == KEPT_MINUTES {
                    bars.remove(0);
                }
                bars.push(Bar::opened(minute, tick));
            }
        }
    }
}
