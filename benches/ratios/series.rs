//! One instrument with one owner.

/// Measures one ring against `trade_aggregation`.
#[cfg(feature = "rivals-agpl")]
pub(crate) fn series() {
    use benches::rivals::{Ohlc, Ohlcv, Series};
    use candle_core::{Ring, Rules};

    use benches::common::{Feed, PASS, Pairs, Skew};

    use crate::{ROUNDS, at_least, note};

    let mut feed = Feed::new(50_000, Skew::Uniform, 6);
    let (mut ours, mut ohlc, mut ohlcv) = (Ring::default(), Series::<Ohlc>::default(), Series::<Ohlcv>::default());
    let mut pairs = Pairs::new(&["ours", "ohlc", "ohlcv"]);
    for _ in 0..3 * ROUNDS {
        feed.advance();
        pairs.round(|name| {
            Pairs::clock(PASS, || match name {
                "ours" => {
                    let validator = Rules::default().at(Feed::now(&feed.quotes));
                    for (_, tick) in &feed.quotes {
                        let _ = ours.record(tick, &validator);
                    }
                }
                "ohlc" => feed.quotes.iter().for_each(|(_, tick)| ohlc.record(tick)),
                _ => feed.quotes.iter().for_each(|(_, tick)| ohlcv.record(tick)),
            })
        });
        std::hint::black_box((&ours, &ohlc, &ohlcv));
    }
    note(&format!("one series, ns per tick: {}", pairs.times(&["ours", "ohlc", "ohlcv"])));
    at_least("one series: `trade_aggregation` OHLC / ours", pairs.ratio("ohlc", "ours"), 1.0);
    at_least("one series: the same with volume and count / ours", pairs.ratio("ohlcv", "ours"), 1.0);
}

#[cfg(not(feature = "rivals-agpl"))]
pub(crate) fn series() {
    crate::note("one series: needs --features rivals-agpl");
}
