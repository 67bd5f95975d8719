//! Arbitrary bytes as input: what the fuzz targets run, and what ordinary tests run again.

#[cfg(feature = "serde")]
use candle_core::{Aggregator, Config, Gaps, StripeSnapshot};
use candle_core::{Prices, Ring, Tick, Timestamp};

use crate::oracle::{Limits, MINUTE, Series};

/// Ticks told one after another: the oracle reads all it has for each, so that more would only be slower.
const MAX_TICKS: usize = 400;

const ORIGINS: [Timestamp; 5] = [
    Timestamp::EPOCH,
    Timestamp::MIN,
    Timestamp::MAX,
    Timestamp::EPOCH.saturating_add(-1),
    Timestamp::EPOCH.saturating_add(1_742_944_020_000_000),
];
const BASES: [u64; 4] = [0, u64::MAX - 2, (1 << 37) - 2, (1 << 38) - 2];
const PRICES: [f64; 12] =
    [1.0, 2.0, 3.0, 0.1, f64::MAX, f64::MIN_POSITIVE, 0.0, -0.0, -2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
const SIZES: [f64; 8] = [0.0, 1.0, 0.1, 1e15, 2e15, -1.0, -0.0, f64::NAN];

/// Reads the bytes as ticks, and asserts that a ring makes of them what the oracle does.
pub(crate) fn ticks(bytes: &[u8]) {
    let Some(([origin, base, rules], rest)) = bytes.split_first_chunk() else { return };
    let ahead_micros = [5_000_000, 0, 60_000_000][usize::from(rules % 3)];
    let prices = if rules & 128 == 0 { Prices::Positive } else { Prices::Any };
    let (limits, base) = (Limits { prices, ahead_micros }, BASES[usize::from(*base) % BASES.len()]);
    let mut now = ORIGINS[usize::from(*origin) % ORIGINS.len()];
    let (mut ring, mut series) = (Ring::default(), Series::new(limits, base));
    for (number, tick) in rest.chunks_exact(6).take(MAX_TICKS).enumerate() {
        let [clock, back, offset, fine, seq, value] = tick else { unreachable!("six at a time") };
        let steps = i64::from(*clock / 8);
        now = now.saturating_add(match clock % 8 {
            0..=3 => steps * 1_000_000,
            4 => steps * MINUTE,
            5 => -steps * MINUTE,
            6 => steps * 1_000_000 * MINUTE,
            _ => -steps,
        });
        let minute = now.minute().start().saturating_add((1 - i64::from(back % 34)) * MINUTE);
        // The whole minute, its last microsecond included.
        let offset = i64::from(u16::from_be_bytes([*offset, *fine])) * (MINUTE - 1) / i64::from(u16::MAX);
        let tick = Tick {
            time: minute.saturating_add(offset),
            seq: base.wrapping_add(u64::from(seq % 16) << if *seq >= 240 { 33 } else { 0 }),
            price: PRICES[usize::from(*value) % PRICES.len()],
            size: SIZES[usize::from(*value) / 32],
        };
        assert_eq!(ring.record(&tick, &limits.rules().at(now)), series.record(&tick, now), "tick {number}");
        if number % 32 == 0 {
            series.assert_is(&ring, now);
        }
    }
    series.assert_is(&ring, now);
}

/// Reads the bytes as a snapshot in every form, and uses what comes out.
#[cfg(feature = "serde")]
pub(crate) fn snapshot(bytes: &[u8]) {
    let forms = [
        StripeSnapshot::decode(bytes).ok(),
        serde_json::from_slice(bytes).ok(),
        // Without the check sum, which random bytes never have.
        postcard::from_bytes(bytes).ok(),
    ];
    for part in forms.into_iter().flatten() {
        assert_eq!(StripeSnapshot::decode(&part.encode()).as_ref(), Ok(&part));
        assert_harmless(&part);
    }
}

/// Whatever it says, it is restored or refused, and what was restored works.
#[cfg(feature = "serde")]
pub(crate) fn assert_harmless(part: &StripeSnapshot) {
    let merged = Aggregator::default();
    merged.merge(part).unwrap();
    assert_working(&merged);
    if let Ok(restored) = Aggregator::restore(Config::default(), vec![part.clone()]) {
        assert_working(&restored);
    }
}

#[cfg(feature = "serde")]
pub(crate) fn assert_working(aggregator: &Aggregator) {
    for now in [Timestamp::MIN, Timestamp::EPOCH, Timestamp::MAX] {
        for line in aggregator.page(None, "", 1000) {
            let id = line.id.as_str();
            let history = aggregator.history_counting_view(id).unwrap();
            assert!(history.candles(now, Gaps::Filled).count() <= 30);
            assert!(
                history.ring.stored().all(|candle| candle.low() <= candle.open() && candle.close() <= candle.high())
            );
            let _ = aggregator.record(id, &Tick::new(now, 1.0), now);
        }
    }
    assert!(aggregator.outcomes().received() >= aggregator.outcomes().accepted());
}
