//! The fields of a candle in the stored form of a snapshot, and in any other serialised form.

use serde::{Deserialize, Serialize, Serializer};

use super::{Candle, bounded, stamp::Stamp};
use crate::interval::{Interval, OpenTime};
use crate::key::Key;
use crate::price::{Price, Prices};
use crate::time::{Minute, Timestamp};

/// The fields of a candle. The names are those of the serialised form of a candle.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct CandleParts {
    open_time: Timestamp,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
    buy_volume: f64,
    quote_volume: f64,
    count: u32,
    revised: bool,
    first: u64,
    last: u64,
}

/// The fields of a candle in version 1 of the stored form: one minute long, without buy and quote volume.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct CandlePartsV1 {
    minute: i64,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
    count: u32,
    revised: bool,
    first: u64,
    last: u64,
}

impl CandlePartsV1 {
    /// Returns the fields of today. Every size was that of a buy, because negative ones were refused. The quote volume was
    /// not recorded, and is estimated as volume times the mean of high, low and close.
    pub(crate) fn upgraded(&self) -> Option<CandleParts> {
        let is_valid = (Minute::MIN.number()..=Minute::MAX.number()).contains(&self.minute);
        let price = self.high / 3.0 + self.low / 3.0 + self.close / 3.0;
        is_valid.then(|| CandleParts {
            open_time: Minute::EPOCH.saturating_add(self.minute).start(),
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            volume: self.volume,
            buy_volume: self.volume,
            quote_volume: bounded(price * self.volume),
            count: self.count,
            revised: self.revised,
            first: self.first,
            last: self.last,
        })
    }
}

/// The fields of a candle in either version, in a format with names of fields.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct AnyCandleParts {
    minute: Option<i64>,
    open_time: Option<Timestamp>,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
    buy_volume: Option<f64>,
    quote_volume: Option<f64>,
    count: u32,
    revised: bool,
    first: u64,
    last: u64,
}

impl AnyCandleParts {
    /// Returns the fields of version 1, or `None` if one is missing.
    pub(crate) fn version_1(&self) -> Option<CandlePartsV1> {
        Some(CandlePartsV1 {
            minute: self.minute?,
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            volume: self.volume,
            count: self.count,
            revised: self.revised,
            first: self.first,
            last: self.last,
        })
    }

    /// Returns the fields of today, or `None` if one is missing.
    pub(crate) fn current(&self) -> Option<CandleParts> {
        Some(CandleParts {
            open_time: self.open_time?,
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            volume: self.volume,
            buy_volume: self.buy_volume?,
            quote_volume: self.quote_volume?,
            count: self.count,
            revised: self.revised,
            first: self.first,
            last: self.last,
        })
    }
}

impl From<&Candle> for CandleParts {
    fn from(candle: &Candle) -> Self {
        Self {
            open_time: candle.open_time(),
            open: candle.open,
            high: candle.high,
            low: candle.low,
            close: candle.close,
            volume: candle.volume,
            buy_volume: candle.buy_volume,
            quote_volume: candle.quote_volume,
            count: candle.count(),
            revised: candle.is_revised(),
            first: candle.first.to_bits(),
            last: candle.last.to_bits(),
        }
    }
}

impl CandleParts {
    /// Returns the candle, or `None` if the fields violate an invariant of a candle of this interval.
    pub(crate) fn candle(&self, interval: Interval) -> Option<Candle> {
        let price = |raw| Price::new(raw, Prices::Any).map(Price::get);
        let [first, last] = [self.first, self.last].map(|bits| Key::from_bits(bits, interval));
        let (first, last) = (first?, last?);
        let open: OpenTime = interval.open(self.open_time);
        let is_valid = [self.open, self.close].iter().all(|price| (self.low..=self.high).contains(price))
            && (0.0..=f64::MAX).contains(&self.volume)
            && (0.0..=self.volume).contains(&self.buy_volume)
            && self.quote_volume.is_finite()
            && open.start() == self.open_time
            && (1..=interval.max_count()).contains(&self.count)
            && first.offset() <= last.offset();
        let mut candle = Candle {
            open: price(self.open)?,
            high: price(self.high)?,
            low: price(self.low)?,
            close: price(self.close)?,
            volume: self.volume + 0.0,
            buy_volume: self.buy_volume + 0.0,
            quote_volume: self.quote_volume,
            first,
            last,
            stamp: Stamp::new(open, interval),
        };
        candle.stamp.count_more(u64::from(self.count).saturating_sub(1));
        if self.revised {
            candle.revise();
        }
        is_valid.then_some(candle)
    }
}

impl Serialize for Candle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CandleParts::from(self).serialize(serializer)
    }
}
