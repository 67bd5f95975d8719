//! The crate `trade_aggregation` (AGPL): one series alone, and one series per instrument in a `DashMap`.

use std::collections::VecDeque;

use candle_core::Tick;
use dashmap::DashMap;
use trade_aggregation::candle_components::{Close, High, Low, NumTrades, Open, Volume};
use trade_aggregation::{
    Aggregator as _, Candle, CandleComponent, CandleComponentUpdate, GenericAggregator, M1, ModularCandle, TimeRule,
    TimestampResolution, Trade,
};

use super::plain::WINDOW_MINUTES;

/// The components of the candle that all contenders compute.
#[derive(Debug, Default, Clone, Candle)]
pub struct Ohlcv {
    open: Open,
    high: High,
    low: Low,
    close: Close,
    volume: Volume,
    count: NumTrades<u32>,
}

/// Open, high, low and close only, as in the example of the crate.
#[derive(Debug, Default, Clone, Candle)]
pub struct Ohlc {
    open: Open,
    high: High,
    low: Low,
    close: Close,
}

/// One series with its last candles.
#[derive(Debug)]
pub struct Series<C: ModularCandle<Trade>> {
    forming: GenericAggregator<C, TimeRule, Trade>,
    closed: VecDeque<C>,
}

impl<C: ModularCandle<Trade>> Default for Series<C> {
    fn default() -> Self {
        let rule = TimeRule::new(M1, TimestampResolution::Microsecond);
        Self { forming: GenericAggregator::new(rule, false), closed: VecDeque::with_capacity(WINDOW_MINUTES) }
    }
}

impl<C: ModularCandle<Trade>> Series<C> {
    /// Adds a tick.
    #[inline]
    pub fn record(&mut self, tick: &Tick) {
        let trade = Trade { timestamp: tick.time.as_micros(), price: tick.price, size: tick.size };
        if let Some(candle) = self.forming.update(&trade) {
            if self.closed.len() == WINDOW_MINUTES {
                self.closed.pop_front();
            }
            self.closed.push_back(candle);
        }
    }
}

/// A concurrent map of series with the default hasher.
#[derive(Debug)]
pub struct DashMapTradeAggregation(DashMap<String, Series<Ohlcv>>);

impl DashMapTradeAggregation {
    /// Creates the series of these ids, without candles.
    pub fn new(ids: &[String]) -> Self {
        Self(ids.iter().map(|id| (id.clone(), Series::default())).collect())
    }

    /// Adds a tick.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick) {
        if let Some(mut series) = self.0.get_mut(id) {
            series.record(tick);
        } else {
            self.0.entry(id.to_owned()).or_default().record(tick);
        }
    }
}
