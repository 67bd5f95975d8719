//! Checks with arbitrary bytes as input, shared by the fuzz targets and the tests.

#[cfg(feature = "serde")]
use candle_core::{Aggregator, Config, Gaps, StripeSnapshot};
use candle_core::{Prices, Ring, Tick, Timestamp};

use crate::oracle::{MINUTE, OracleRing, OracleRules};

/// The largest number of ticks of one input. The oracle reads all earlier ticks for each one, so more are slow.
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
const SIZES: [f64; 8] = [0.0, 1.0, 0.1, -1e15, 2e15, -1.0, -0.0, f64::NAN];

/// Decodes ticks, and asserts that a ring and the oracle have the same candles.
pub(crate) fn ticks(bytes: &[u8]) {
    let Some(([origin, base, rules], rest)) = bytes.split_first_chunk() else { return };
    let ahead_micros = [5_000_000, 0, 60_000_000][usize::from(rules % 3)];
    let prices = if rules & 128 == 0 { Prices::Positive } else { Prices::Any };
    let (limits, base) =
        (OracleRules { prices, ahead_micros, ..OracleRules::DEFAULT }, BASES[usize::from(*base) % BASES.len()]);
    let mut now = ORIGINS[usize::from(*origin) % ORIGINS.len()];
    let (mut ring, mut oracle) = (Ring::default(), OracleRing::new(limits, base));
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
        // Up to the last microsecond of the minute.
        let offset = i64::from(u16::from_be_bytes([*offset, *fine])) * (MINUTE - 1) / i64::from(u16::MAX);
        let tick = Tick {
            time: minute.saturating_add(offset),
            seq: base.wrapping_add(u64::from(seq % 16) << if *seq >= 240 { 33 } else { 0 }),
            price: PRICES[usize::from(*value) % PRICES.len()],
            size: SIZES[usize::from(*value) / 32],
        };
        assert_eq!(ring.record(&tick, &limits.rules().at(now)), oracle.record(&tick, now), "tick {number}");
        if number % 32 == 0 {
            oracle.assert_is(&ring, now);
        }
    }
    oracle.assert_is(&ring, now);
}

/// Decodes a snapshot in every format, and uses the result.
#[cfg(feature = "serde")]
pub(crate) fn snapshot(bytes: &[u8]) {
    let formats = [
        StripeSnapshot::decode(bytes).ok(),
        serde_json::from_slice(bytes).ok(),
        // Without the checksum, which random bytes never match.
        postcard::from_bytes(bytes).ok(),
    ];
    for snapshot in formats.into_iter().flatten() {
        assert_eq!(StripeSnapshot::decode(&snapshot.encode()).as_ref(), Ok(&snapshot));
        assert_harmless(&snapshot);
    }
}

/// Asserts that a decoded snapshot is either refused or restored to a working aggregator.
#[cfg(feature = "serde")]
pub(crate) fn assert_harmless(snapshot: &StripeSnapshot) {
    let merged = Aggregator::default();
    merged.merge(snapshot).unwrap();
    assert_working(&merged);
    if let Ok(restored) = Aggregator::restore(Config::default(), vec![snapshot.clone()]) {
        assert_working(&restored);
    }
}

#[cfg(feature = "serde")]
pub(crate) fn assert_working(aggregator: &Aggregator) {
    for now in [Timestamp::MIN, Timestamp::EPOCH, Timestamp::MAX] {
        for summary in aggregator.page(None, "", 1000) {
            let id = summary.id.as_str();
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
