use candle_core::{Aggregator, Gaps, RecordContext, Unlisted};
use candle_engine::journal::TickContext;

use super::*;

const CONTEXT: TickContext = TickContext { now: Timestamp::EPOCH, unlisted: Unlisted::List };

/// The size limit of the outboxes in these tests, in bytes. It is small, so that tests reach it quickly.
const MAX_BYTES: usize = 2 << 20;

fn tick(second: i64, price: f64) -> Tick {
    Tick::new(Timestamp::from_seconds(second).unwrap(), price).with_seq(FIRST_ARRIVAL_SEQ)
}

/// Applies all writes of an outbox to a new aggregator.
fn applied(outbox: &Outbox) -> Aggregator {
    let aggregator = Aggregator::default();
    for chunk in &outbox.chunks {
        for write in chunk.batch.writes() {
            match write {
                Write::List { id, description } => drop(aggregator.list(id, description)),
                Write::Delist { id } => drop(aggregator.delist(id)),
                Write::Clear => aggregator.clear_candles(),
                Write::Ticks(run) => {
                    let context = RecordContext { unlisted: run.context.unlisted, ..run.context.now.into() };
                    for (id, tick) in run.iter() {
                        let _ = aggregator.record(id, &tick, context);
                    }
                }
            }
        }
    }
    aggregator
}

fn prices(aggregator: &Aggregator, id: &str, now: Timestamp) -> Vec<[f64; 4]> {
    let Some(history) = aggregator.history(id) else { return Vec::new() };
    history.candles(now, Gaps::Omitted).map(|candle| [candle.open, candle.high, candle.low, candle.close]).collect()
}

/// Returns a tick with the longest encoding: its time and number differ from the previous tick as much as possible.
fn unlike(number: u64) -> Tick {
    let (time, seq) = if number.is_multiple_of(2) { (Timestamp::MIN, 0) } else { (Timestamp::MAX, 1 << 63) };
    Tick::new(time, 0.1).with_size(0.1).with_seq(seq + number)
}

#[test]
fn chunks_fit_into_messages_and_contain_every_tick() {
    /// The default limit of a broker minus 1 KiB for the envelope, in bytes.
    const LONGEST: usize = (1 << 20) - (1 << 10);
    let ids: Vec<String> = (0..40_000).map(|id| format!("{id:064}")).collect();
    let ticks = || (0..).zip(&ids).map(|(number, id)| (id.as_str(), unlike(number)));
    let short = || (0..40_000).map(|number| ("7", unlike(number)));
    let runs: [Vec<Vec<_>>; 3] =
        [vec![ticks().collect()], vec![short().collect()], short().map(|tick| vec![tick]).collect()];
    for runs in runs {
        let mut outbox = Outbox::new(usize::MAX);
        for run in runs {
            let mut batch = Batch::new(0);
            batch.push_ticks(run, CONTEXT);
            outbox.push(&batch, Duration::ZERO);
        }
        let mut sent = 0;
        while let Some((chunk, _)) = outbox.pop() {
            let bytes = candle_engine::codec::encode(&chunk, &[], &Rules::DEFAULT);
            assert!(bytes.len() < LONGEST, "{}", bytes.len());
            sent += chunk.ticks().len();
        }
        assert_eq!((sent, outbox.bytes()), (ids.len(), 0));
    }
}

#[test]
fn compaction_keeps_open_high_low_and_close_of_every_minute_within_the_limit() {
    let mut random = fastrand::Rng::with_seed(11);
    let rules = Rules::DEFAULT;
    let (mut outbox, plain) = (Outbox::new(MAX_BYTES), Aggregator::default());
    let ids: Vec<String> = (0..50).map(|id| id.to_string()).collect();
    let mut compacted = 0;
    for second in 0..400 {
        let now = Timestamp::from_seconds(second).unwrap();
        let context = TickContext { now, ..CONTEXT };
        let mut batch = Batch::new(0);
        if second == 200 {
            batch.push(Write::Delist { id: "7" });
            plain.delist("7");
        }
        let ticks: Vec<(&str, Tick)> = (0..900)
            .map(|_| {
                let price = f64::from(random.i32(-3..200));
                let time = second - random.i64(0..90) + if random.u8(..) == 0 { 30 } else { 0 };
                (ids[random.usize(..ids.len())].as_str(), tick(time, price))
            })
            .collect();
        let mut next = FIRST_ARRIVAL_SEQ + second.unsigned_abs() * 10_000;
        batch.push_ticks(ticks.iter().copied(), context);
        let batch = number_arrivals(&batch, &mut next);
        for (id, tick) in batch.ticks() {
            let _ = plain.record(id, tick, RecordContext { unlisted: Unlisted::List, ..now.into() });
        }
        outbox.push(&batch, Duration::from_secs(second.unsigned_abs()));
        let reclaimed = outbox.reclaim(&rules);
        compacted += reclaimed.compacted;
        assert_eq!(reclaimed.dropped, 0);
        assert!(outbox.bytes() <= MAX_BYTES);
    }
    assert!(compacted > 100_000, "only {compacted} ticks were compacted");
    let (again, now) = (applied(&outbox), Timestamp::from_seconds(399).unwrap());
    for id in &ids {
        assert_eq!(prices(&again, id, now), prices(&plain, id, now), "{id}");
    }
}

#[test]
fn if_compaction_frees_too_little_the_oldest_ticks_are_dropped_and_no_listing() {
    let mut outbox = Outbox::new(MAX_BYTES);
    for id in 0..60_000_u32 {
        let id = id.to_string();
        if id.ends_with("000") {
            outbox.with_last(Duration::ZERO, |batch| batch.push(Write::List { id: &id, description: None }));
        }
        outbox.with_last(Duration::ZERO, |batch| batch.push_ticks([(id.as_str(), tick(0, 1.0))], CONTEXT));
    }
    let reclaimed = outbox.reclaim(&Rules::DEFAULT);
    assert!(reclaimed.dropped > 0 && outbox.bytes() <= MAX_BYTES, "{reclaimed:?}");
    let listings = outbox.chunks.iter().flat_map(|chunk| chunk.batch.writes());
    assert_eq!(listings.filter(|write| matches!(write, Write::List { .. })).count(), 59);
}

#[test]
fn writes_after_the_seal_of_a_chunk_are_not_dropped_with_it() {
    let mut outbox = Outbox::new(MAX_BYTES);
    let write = |outbox: &mut Outbox, second| {
        outbox.with_last(Duration::ZERO, |batch| batch.push_ticks([("a", tick(second, 1.0))], CONTEXT));
    };
    write(&mut outbox, 1);
    assert_eq!(outbox.seal_first().unwrap().ticks().len(), 1);
    write(&mut outbox, 2);
    assert_eq!(outbox.pop().unwrap().0.ticks().len(), 1);
    assert_eq!(outbox.pop().unwrap().0.ticks().next().unwrap().1, &tick(2, 1.0));
    assert_eq!(outbox.bytes(), 0);
}

/// Returns a follower of a log that has one message for each batch. The time of the log is `second`.
fn follower_of(batches: &[Batch], second: i64) -> Follower {
    use crate::message::{self, Content, LeaseAction, Origin, WritesHeader};
    use candle_engine::clock::{Clock, ClockMode};
    let aggregator = Aggregator::default();
    let engine = candle_engine::Engine::new(aggregator, Clock::new(ClockMode::Feed));
    let mut follower = Follower::new(std::sync::Arc::new(engine), 2, 0, None).for_gateway();
    for (index, batch) in batches.iter().enumerate() {
        let sequence = index as u64 + 1;
        let writes = WritesHeader {
            origin: Origin { node: 1, batch: sequence },
            epoch: 1,
            lease: LeaseAction::Renew,
            now: Timestamp::from_seconds(second).unwrap().as_micros(),
            clock: ClockMode::Feed,
            next_arrival_seq: FIRST_ARRIVAL_SEQ,
            feed_is_down: false,
            coverage: candle_core::CoverageRing::default().to_parts(Timestamp::EPOCH),
        };
        let blob = candle_engine::codec::encode(batch, &[], &Rules::DEFAULT);
        follower.apply(sequence, &message::encode(Content::Writes(writes), &blob)).unwrap();
    }
    follower
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second).unwrap()
}

/// Adds a tick of `a` for each of these seconds. Each tick is validated at its own time.
fn ticks_at(batch: &mut Batch, seconds: std::ops::Range<i64>) {
    for second in seconds {
        batch.push_ticks([("a", tick(second, 1.0))], TickContext { now: at(second), ..CONTEXT });
    }
}

/// Returns the writes that a new leader publishes, and the delistings that the log already has.
///
/// The gateway buffered the writes `held`, the time of its feed is `second`, and the follower `stored` has applied the
/// log.
fn published(held: &Batch, second: i64, stored: &Follower) -> (Vec<String>, Vec<Box<str>>) {
    let (mut mine, mut outbox) = (Outbox::new(MAX_BYTES), Outbox::new(MAX_BYTES));
    mine.push(held, Duration::ZERO);
    let known = outbox.append_new(&mine, stored, at(second));
    let texts = |chunk: &Chunk| -> Vec<String> {
        let text = |write: Write<'_>| match write {
            Write::List { id, .. } => format!("list {id}"),
            Write::Delist { id } => format!("delist {id}"),
            Write::Clear => "clear".to_owned(),
            Write::Ticks(run) => format!("ticks {}", run.len()),
        };
        chunk.batch.writes().map(text).collect()
    };
    (outbox.chunks.iter().flat_map(texts).collect(), known)
}

#[test]
fn a_restart_of_the_feed_that_the_log_has_is_not_published_again() {
    let (mut stored, mut held) = (Batch::new(0), Batch::new(0));
    for batch in [&mut stored, &mut held] {
        ticks_at(batch, 5000..5010);
        batch.push(Write::Clear);
        ticks_at(batch, 100..105);
    }
    ticks_at(&mut held, 105..107);
    let (writes, _) = published(&held, 106, &follower_of(&[stored, Batch::new(0)], 104));
    assert_eq!(writes, ["ticks 1", "ticks 1"]);
}

#[test]
fn a_second_restart_of_the_feed_is_published() {
    let (mut stored, mut held) = (Batch::new(0), Batch::new(0));
    for batch in [&mut stored, &mut held] {
        batch.push(Write::Clear);
        ticks_at(batch, 5000..5003);
    }
    held.push(Write::Clear);
    ticks_at(&mut held, 100..102);
    let (writes, _) = published(&held, 101, &follower_of(&[stored], 5002));
    assert_eq!(writes.iter().rev().take(3).collect::<Vec<_>>(), ["ticks 1", "ticks 1", "clear"]);
    let (writes, _) = published(&held, 101, &follower_of(&[], 0));
    assert_eq!(writes.iter().filter(|one| *one == "clear").count(), 2);
}

#[test]
fn quotes_of_a_listing_that_has_ended_in_the_log_are_not_published() {
    let (mut stored, mut held) = (Batch::new(0), Batch::new(0));
    for batch in [&mut stored, &mut held] {
        batch.push(Write::List { id: "a", description: None });
        ticks_at(batch, 100..105);
        batch.push(Write::Delist { id: "a" });
        batch.push(Write::List { id: "a", description: None });
    }
    let stored = follower_of(&[stored, Batch::new(0)], 105);
    assert_eq!(published(&held, 105, &stored), (vec!["list a".to_owned(), "list a".to_owned()], vec!["a".into()]));
    ticks_at(&mut held, 105..107);
    assert_eq!(published(&held, 106, &stored).0[2..], ["ticks 1", "ticks 1"]);
}

#[test]
fn the_time_of_the_last_dropped_tick_is_returned() {
    let mut outbox = Outbox::new(MAX_BYTES);
    for second in 0..60_000_u32 {
        let context = TickContext { now: at(i64::from(second)), ..CONTEXT };
        let id = second.to_string();
        outbox.with_last(Duration::ZERO, |batch| {
            batch.push_ticks([(id.as_str(), tick(i64::from(second), 1.0))], context);
        });
    }
    let reclaimed = outbox.reclaim(&Rules::DEFAULT);
    let kept = outbox.chunks.iter().flat_map(|chunk| chunk.batch.ticks());
    let oldest = kept.map(|(_, tick)| tick.time).min();
    assert!(reclaimed.dropped > 0 && reclaimed.dropped_until < oldest, "{reclaimed:?}, {oldest:?}");
    assert_eq!(reclaimed.dropped_until, oldest.map(|oldest| oldest.saturating_add(-1_000_000)));
}

#[test]
fn old_delistings_are_dropped_at_any_rate_of_quotes() {
    let mut outbox = Outbox::new(MAX_BYTES);
    outbox.with_last(Duration::ZERO, |chunk| chunk.push(Write::Delist { id: "a" }));
    for second in 1..=70 {
        let now = Duration::from_secs(second);
        let tick = tick(i64::try_from(second).unwrap(), 1.0);
        outbox.with_last(now, |chunk| chunk.push_ticks([("a", tick)], CONTEXT));
        outbox.drop_before(now.saturating_sub(Duration::from_secs(30)));
    }
    let held: Vec<_> = outbox.writes().map(|(_, chunk, _)| chunk.since).collect();
    assert!(held.iter().all(|since| *since >= Duration::from_secs(35)), "{held:?}");
    assert!(held.len() >= 30);
}

#[test]
fn logged_writes_are_dropped_first_and_only_if_the_outbox_is_full() {
    let mut outbox = Outbox::new(MAX_BYTES);
    let fill = |outbox: &mut Outbox, seconds: std::ops::Range<u64>| {
        for second in seconds {
            let now = at(i64::try_from(second).unwrap());
            for _ in 0..1000 {
                let one = [("a", tick(0, 1.0))];
                let context = TickContext { now, ..CONTEXT };
                outbox.with_last(Duration::from_secs(second), |chunk| chunk.push_ticks(one, context));
            }
        }
    };
    fill(&mut outbox, 0..10);
    assert_eq!(outbox.drop_excess(Duration::from_secs(8)), None, "the outbox is not full");
    fill(&mut outbox, 10..60);
    let before = outbox.bytes();
    assert!(before > MAX_BYTES);
    let until = outbox.drop_excess(Duration::from_secs(50)).unwrap();
    assert!(outbox.bytes() <= MAX_BYTES && outbox.bytes() > MAX_BYTES / 2, "{} of {before}", outbox.bytes());
    assert!(outbox.first().and_then(Batch::now) > Some(until));
    assert_eq!(outbox.reclaim(&Rules::DEFAULT), Reclaimed::default());
    // The outbox does not drop writes that the log does not have.
    fill(&mut outbox, 60..120);
    outbox.drop_excess(Duration::from_mins(1));
    assert!(outbox.first().and_then(Batch::now) >= Some(at(55)));
    assert!(outbox.reclaim(&Rules::DEFAULT).compacted > 0);
}

#[test]
fn ticks_after_a_restart_of_the_numbers_are_published() {
    let numbered = |second, number| tick(second, 1.0).with_seq(number);
    let batch = |ticks: &[Tick]| {
        let mut batch = Batch::new(0);
        for tick in ticks {
            batch.push_ticks([("a", *tick)], TickContext { now: tick.time, ..CONTEXT });
        }
        batch
    };
    let feed = [numbered(99, 998), numbered(100, 999), numbered(105, 1), numbered(106, 2), numbered(107, 3)];
    for end in 1..5 {
        let (writes, _) = published(&batch(&feed), 107, &follower_of(&[batch(&feed[..end])], 107));
        assert_eq!(writes.len(), 5 - end, "the log has {end} ticks");
    }
}

#[test]
fn repeated_announcements_are_removed_and_do_not_split_a_compaction() {
    let mut outbox = Outbox::new(MAX_BYTES);
    let ids: Vec<String> = (0..3000).map(|id| format!("{id:05}")).collect();
    let mut compacted = 0;
    for second in 0..100 {
        let now = Duration::from_secs(second);
        for id in &ids {
            outbox.with_last(now, |chunk| chunk.push(Write::List { id, description: Some("the same as before") }));
            outbox.with_last(now, |chunk| chunk.push_ticks([(id.as_str(), tick(0, 1.0))], CONTEXT));
        }
        compacted += outbox.reclaim(&Rules::DEFAULT).compacted;
        assert!(outbox.bytes() <= MAX_BYTES);
    }
    assert!(compacted > 100_000, "{compacted}");
    let described = |id| applied(&outbox).history(id).and_then(|history| history.description.clone());
    assert_eq!(described("00007").as_deref(), Some("the same as before"));
    // Listings that change the catalogue are not removed.
    let changes = [
        Write::List { id: "00007", description: Some("another") },
        Write::Delist { id: "00008" },
        Write::Delist { id: "00009" },
        Write::List { id: "00009", description: Some("the same as before") },
    ];
    changes.into_iter().for_each(|write| outbox.with_last(Duration::from_secs(100), |chunk| chunk.push(write)));
    outbox.max_bytes = outbox.bytes() - 1;
    outbox.reclaim(&Rules::DEFAULT);
    let aggregator = applied(&outbox);
    let description = |id| aggregator.history(id).map(|history| history.description.clone());
    assert_eq!(description("00007").flatten().as_deref(), Some("another"));
    assert!(description("00008").is_none());
    assert_eq!(description("00009").flatten().as_deref(), Some("the same as before"));
}
