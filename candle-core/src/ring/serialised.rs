//! The serialised form of a ring.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{Ring, is_stored_form};
use crate::candle::stored::CandleParts;
use crate::interval::Interval;
use crate::window::Window;

/// Serialises the interval in seconds, the length of the window and the stored candles.
impl Serialize for Ring {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut ring = serializer.serialize_struct("Ring", 3)?;
        ring.serialize_field("interval", &self.window.interval().as_seconds())?;
        ring.serialize_field("window", &self.window.candles())?;
        ring.serialize_field("candles", &self.stored().collect::<Vec<_>>())?;
        ring.end()
    }
}

/// Validates every field.
impl<'de> Deserialize<'de> for Ring {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(rename = "Ring")]
        struct Parts {
            interval: u32,
            window: usize,
            candles: Vec<CandleParts>,
        }
        let parts = Parts::deserialize(deserializer)?;
        let interval = Interval::seconds(parts.interval).map_err(D::Error::custom)?;
        let window = Window::new(interval, parts.window).map_err(D::Error::custom)?;
        let candles: Option<Vec<_>> = parts.candles.iter().map(|parts| parts.candle(interval)).collect();
        let candles = candles.filter(|candles| is_stored_form(window, candles));
        let candles = candles.ok_or_else(|| D::Error::custom("the candles of a ring are invalid"))?;
        let mut ring = Self::new(window);
        ring.merge_stored(candles.iter());
        Ok(ring)
    }
}
