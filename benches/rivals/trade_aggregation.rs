//! The crate `trade_aggregation` (AGPL): alone, and one series for each instrument in a `DashMap`.

use std::collections::VecDeque;

use candle_core::Tick;
use dashmap::DashMap;
use trade_aggregation::candle_components::{Close, High, Low, NumTrades, Open, Volume};
use trade_aggregation::{
    Aggregator as _, Candle, CandleComponent, CandleComponentUpdate, GenericAggregator, M1, ModularCandle, TimeRule,
    TimestampResolution, Trade,
};

use super::bar::KEPT_MINUTES;

/// The components that make the same candle as everyone else's here.
#[derive(Debug, Default, Clone, Candle)]
pub struct Ohlcv {
    open: Open,
    high: High,
    low: Low,
    close: Close,
    volume: Volume,
    count: NumTrades<u32>,
}

/// Open, high, low and close alone, as in its own example.
#[derive(Debug, Default, Clone, Candle)]
pub struct Ohlc {
    open: Open,
    high: High,
    low: Low,
    close: Close,
}

/// One series and its last candles.
#[derive(Debug)]
pub struct Series<C: ModularCandle<Trade>> {
    forming: GenericAggregator<C, TimeRule, Trade>,
    closed: VecDeque<C>,
}

impl<C: ModularCandle<Trade>> Default for Series<C> {
    fn default() -> Self {
        let rule = TimeRule::new(M1, TimestampResolution::Microsecond);
        Self { forming: GenericAggregator::new(rule, false), closed: VecDeque::with_capacity(KEPT_MINUTES) }
    }
}

impl<C: ModularCandle<Trade>> Series<C> {
    /// Folds a tick in.
    #[inline]
    pub fn record(&mut self, tick: &Tick) {
        let trade = Trade { timestamp: tick.time.as_micros(), price: tick.price, size: tick.size };
        if let Some(candle) = self.forming.update(&trade) {
            if self.closed.len() == KEPT_MINUTES {
                self.closed.pop_front();
            }
            self.closed.push_back(candle);
        }
    }
}

/// Series in a concurrent map with its default hasher.
#[derive(Debug)]
pub struct DashMapTradeAggregation(DashMap<String, Series<Ohlcv>>);

impl DashMapTradeAggregation {
    /// All of these, without candles yet.
    pub fn new(ids: &[String]) -> Self {
        Self(ids.iter().map(|id| (id.clone(), Series::default())).collect())
    }

    /// Folds a tick in.
    #[inline]
    pub fn record(&self, id: &str, tick: &Tick) {
        if let Some(mut series) = self.0.get_mut(id) {
            series.record(tick);
        } else {
            self.0.entry(id.to_owned()).or_default().record(tick);
        }
    }
}
