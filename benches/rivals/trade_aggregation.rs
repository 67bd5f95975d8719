//! The crate `trade_aggregation` (AGPL): alone, and one series for each instrument in a `DashMap`.

use std::collections::VecDeque;

use candle_core::Tick;
use dashmap::DashMap;
use trade_aggregation::candle_components::{Close, High, Low, NumTrades, Open, Volume};
use trade_aggregation::{
    Aggregator as _, AlignedTimeRule, Candle, CandleComponent, CandleComponentUpdate, GenericAggregator, M1,
    ModularCandle, TimestampResolution, Trade, aggregate_all_trades,
};

use super::plain::{PlainCandle, WINDOW_MINUTES};

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
    forming: GenericAggregator<C, AlignedTimeRule, Trade>,
    closed: VecDeque<C>,
}

impl<C: ModularCandle<Trade>> Default for Series<C> {
    fn default() -> Self {
        let rule = AlignedTimeRule::new(M1, TimestampResolution::Microsecond);
        Self { forming: GenericAggregator::new(rule, false), closed: VecDeque::with_capacity(WINDOW_MINUTES) }
    }
}

impl<C: ModularCandle<Trade>> Series<C> {
    /// Folds a tick in.
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

impl Series<Ohlcv> {
    /// Returns the candles, oldest first. They have no time: the minute is 0.
    pub fn candles(&self) -> Vec<PlainCandle> {
        self.closed.iter().chain(Some(self.forming.unfinished_candle())).map(Ohlcv::plain).collect()
    }
}

impl Ohlcv {
    fn plain(&self) -> PlainCandle {
        PlainCandle {
            minute: 0,
            open: self.open.value(),
            high: self.high.value(),
            low: self.low.value(),
            close: self.close.value(),
            volume: self.volume.value(),
            count: self.count.value(),
        }
    }
}

/// Returns all candles of one series, oldest first, by the function that the crate has for it. They have no time: the
/// minute is 0.
pub fn all_candles(trades: &[Trade]) -> Vec<PlainCandle> {
    let rule = AlignedTimeRule::new(M1, TimestampResolution::Millisecond);
    let mut forming = GenericAggregator::<Ohlcv, AlignedTimeRule, Trade>::new(rule, false);
    let closed = aggregate_all_trades(trades, &mut forming);
    closed.iter().chain(Some(forming.unfinished_candle())).map(Ohlcv::plain).collect()
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

    /// Returns the candles of an instrument, oldest first.
    pub fn candles(&self, id: &str) -> Vec<PlainCandle> {
        self.0.get(id).map_or_else(Vec::new, |series| series.candles())
    }
}
