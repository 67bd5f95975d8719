//! One instrument with one owner, on real trades.

use std::hint::black_box;

use benches::common::{Feed, Pairs, Trades, batches};
use benches::rivals;
use candle_core::{Ring, Rules, Tick};

use crate::{ROUNDS, note};

/// One real series: our ring one tick at a time, a plain ring, and `trade_aggregation`.
pub(crate) fn series() {
    let trades = Trades::million();
    let source = trades.source;
    let mut feed = Feed::real(trades);
    let (mut ours, mut slice, mut plain) = (Ring::default(), Ring::default(), rivals::PlainRing::default());
    #[cfg(feature = "rivals-agpl")]
    let (mut ohlc, mut ohlcv) = (rivals::Series::<rivals::Ohlc>::default(), rivals::Series::<rivals::Ohlcv>::default());
    let names = ["ours", "slice", "plain", "ohlc", "ohlcv"];
    let names = if cfg!(feature = "rivals-agpl") { &names[..] } else { &names[..3] };
    let mut pairs = Pairs::new(names);
    for _ in 0..ROUNDS {
        feed.advance();
        let quotes = &feed.quotes;
        let ticks: Vec<Tick> = quotes.iter().map(|(_, tick)| *tick).collect();
        pairs.round(|name| {
            Pairs::clock(quotes.len(), || match name {
                "ours" => {
                    for batch in batches(quotes, crate::BATCH) {
                        let validator = Rules::default().at(Feed::now(batch));
                        for (_, tick) in batch {
                            let _ = ours.record(tick, &validator);
                        }
                    }
                }
                "slice" => {
                    let mut rest = &ticks[..];
                    for batch in batches(quotes, crate::BATCH) {
                        let (part, after) = rest.split_at(batch.len());
                        rest = after;
                        let validator = Rules::default().at(Feed::now(batch));
                        black_box(slice.record_all(part, &validator, |candle| _ = black_box(candle)));
                    }
                }
                #[cfg(feature = "rivals-agpl")]
                "ohlc" => quotes.iter().for_each(|(_, tick)| ohlc.record(tick)),
                #[cfg(feature = "rivals-agpl")]
                "ohlcv" => quotes.iter().for_each(|(_, tick)| ohlcv.record(tick)),
                _ => quotes.iter().for_each(|(_, tick)| plain.update(tick)),
            })
        });
        black_box((&ours, &slice, &plain));
        #[cfg(feature = "rivals-agpl")]
        black_box((&ohlc, &ohlcv));
    }
    note(&format!("one series of {source}, ns per tick: {}", pairs.times(names)));
    note(&format!("one series: plain ring without late ticks / ours: {:.2}", pairs.ratio("plain", "ours")));
    #[cfg(feature = "rivals-agpl")]
    {
        note(&format!("one series: `trade_aggregation` OHLC alone / ours: {:.2}", pairs.ratio("ohlc", "ours")));
        crate::at_least("one series: `trade_aggregation` OHLCV + count / ours", pairs.ratio("ohlcv", "ours"), 1.1);
        crate::at_least(
            "one series: `trade_aggregation` OHLCV + count / ours by slice",
            pairs.ratio("ohlcv", "slice"),
            1.7,
        );
    }
}
