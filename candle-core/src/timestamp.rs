//! Units of serialised timestamps, for `#[serde(with = "...")]`. A [`Timestamp`](crate::Timestamp) without one of these
//! modules is serialised as an integer of microseconds since the Unix epoch.
//!
//! Seconds and milliseconds are integers if they are whole, and otherwise numbers with a fraction, which are exact to the
//! microsecond in the years 1698 to 2241. A format without types of its own, such as postcard, gets a fraction always.
//!
//! ```
//! use candle_core::{Timestamp, timestamp};
//!
//! #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
//! struct Row {
//!     #[serde(with = "timestamp::rfc3339")]
//!     text: Timestamp,
//!     #[serde(with = "timestamp::seconds")]
//!     seconds: Timestamp,
//!     #[serde(with = "timestamp::millis")]
//!     millis: Timestamp,
//!     #[serde(with = "timestamp::micros")]
//!     micros: Timestamp,
//! }
//!
//! let at = Timestamp::from_micros(1_500_000).unwrap();
//! let row = Row { text: at, seconds: at, millis: at, micros: at };
//! let json = serde_json::to_string(&row)?;
//! assert_eq!(json, r#"{"text":"1970-01-01T00:00:01.5Z","seconds":1.5,"millis":1500,"micros":1500000}"#);
//! assert_eq!(serde_json::from_str::<Row>(&json)?, row);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod number;

/// Seconds since the Unix epoch.
pub mod seconds {
    use serde::{Deserializer, Serializer};

    use super::number;
    use crate::time::Timestamp;

    /// Serialises a timestamp.
    ///
    /// # Errors
    /// Returns the error of the serialiser.
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        number::serialize(*time, 1_000_000, serializer)
    }

    /// Deserialises a timestamp.
    ///
    /// # Errors
    /// Returns an error unless the value is a number of seconds within the years 1 to 9999.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        number::deserialize(1_000_000, deserializer)
    }
}

/// Milliseconds since the Unix epoch.
pub mod millis {
    use serde::{Deserializer, Serializer};

    use super::number;
    use crate::time::Timestamp;

    /// Serialises a timestamp.
    ///
    /// # Errors
    /// Returns the error of the serialiser.
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        number::serialize(*time, 1_000, serializer)
    }

    /// Deserialises a timestamp.
    ///
    /// # Errors
    /// Returns an error unless the value is a number of milliseconds within the years 1 to 9999.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        number::deserialize(1_000, deserializer)
    }
}

/// Microseconds since the Unix epoch, an integer.
pub mod micros {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::Timestamp;

    /// Serialises a timestamp.
    ///
    /// # Errors
    /// Returns the error of the serialiser.
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        time.serialize(serializer)
    }

    /// Deserialises a timestamp.
    ///
    /// # Errors
    /// Returns an error unless the value is an integer of microseconds within the years 1 to 9999.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

/// Text as RFC 3339 defines, in UTC.
pub mod rfc3339 {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::Timestamp;

    /// Serialises a timestamp.
    ///
    /// # Errors
    /// Returns the error of the serialiser.
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    /// Deserialises a timestamp.
    ///
    /// # Errors
    /// Returns an error unless the value is an RFC 3339 time within the years 1 to 9999.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
