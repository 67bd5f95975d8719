use candle_core::{Aggregator, Gaps, Unlisted};

use super::*;
use crate::journal::TickContext;

const TERMS: TickContext = TickContext { now: Timestamp::EPOCH, unlisted: Unlisted::List };

/// A bound that a test reaches soon.
const MOST: usize = 2 << 20;

fn tick(second: i64, price: f64) -> Tick {
    Tick::new(Timestamp::from_seconds(second).unwrap(), price).with_seq(ARRIVAL_NUMBERS)
}

/// An aggregator that was given what is held.
fn folded(outbox: &Outbox) -> Aggregator {
    let aggregator = Aggregator::default();
    for piece in &outbox.pieces {
        for write in piece.batch.writes() {
            match write {
                Write::List { id, description } => drop(aggregator.list(id, description)),
                Write::Delist { id } => drop(aggregator.delist(id)),
                Write::Clear => aggregator.clear_candles(),
                Write::Ticks(run) => {
                    let context =
                        candle_core::RecordContext { unlisted: run.context.unlisted, ..run.context.now.into() };
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

/// What takes most as a message: other ids, times and numbers each time that are as far from those before as can be.
fn unlike(number: u64) -> Tick {
    let (time, seq) = if number.is_multiple_of(2) { (Timestamp::MIN, 0) } else { (Timestamp::MAX, 1 << 63) };
    Tick::new(time, 0.1).with_size(0.1).with_seq(seq + number)
}

#[test]
fn pieces_fit_a_message_and_lose_nothing() {
    /// The longest message that a broker takes by default, but for the envelope before a piece.
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
            batch.push_ticks(run.iter().copied(), TERMS);
            outbox.push(&batch, Duration::ZERO);
        }
        let mut sent = 0;
        while let Some((piece, _)) = outbox.pop() {
            let bytes = crate::codec::encode(&piece, &[], &Rules::DEFAULT);
            assert!(bytes.len() < LONGEST, "{}", bytes.len());
            sent += piece.ticks().len();
        }
        assert_eq!((sent, outbox.bytes()), (ids.len(), 0));
    }
}

#[test]
fn a_long_stall_keeps_open_high_low_and_close_of_every_minute_within_the_bound() {
    let mut random = fastrand::Rng::with_seed(11);
    let rules = Rules::DEFAULT;
    let (mut outbox, plain) = (Outbox::new(MOST), Aggregator::default());
    let ids: Vec<String> = (0..50).map(|id| id.to_string()).collect();
    let mut folded_ticks = 0;
    for second in 0..400 {
        let now = Timestamp::from_seconds(second).unwrap();
        let context = TickContext { now, ..TERMS };
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
        let mut next = ARRIVAL_NUMBERS + second.unsigned_abs() * 10_000;
        batch.push_ticks(ticks.iter().copied(), context);
        let batch = numbered(&batch, &mut next);
        for (id, tick) in batch.ticks() {
            let _ = plain.record(id, tick, candle_core::RecordContext { unlisted: Unlisted::List, ..now.into() });
        }
        outbox.push(&batch, Duration::from_secs(second.unsigned_abs()));
        let given = outbox.make_room(&rules);
        folded_ticks += given.folded;
        assert_eq!(given.dropped, 0);
        assert!(outbox.bytes() <= MOST);
    }
    assert!(folded_ticks > 100_000, "{folded_ticks}: nothing was folded");
    let (again, now) = (folded(&outbox), Timestamp::from_seconds(399).unwrap());
    for id in &ids {
        assert_eq!(prices(&again, id, now), prices(&plain, id, now), "{id}");
    }
}

#[test]
fn where_folding_frees_too_little_the_oldest_ticks_go_and_every_listing_stays() {
    let mut outbox = Outbox::new(MOST);
    for id in 0..60_000_u32 {
        let id = id.to_string();
        if id.ends_with("000") {
            outbox.with_back(Duration::ZERO, |batch| batch.push(Write::List { id: &id, description: None }));
        }
        outbox.with_back(Duration::ZERO, |batch| batch.push_ticks([(id.as_str(), tick(0, 1.0))], TERMS));
    }
    let given = outbox.make_room(&Rules::DEFAULT);
    assert!(given.dropped > 0 && outbox.bytes() <= MOST, "{given:?}");
    let listings = outbox.pieces.iter().flat_map(|piece| piece.batch.writes());
    assert_eq!(listings.filter(|write| matches!(write, Write::List { .. })).count(), 59);
}

#[test]
fn what_comes_while_a_piece_is_under_way_is_not_forgotten_with_it() {
    let mut outbox = Outbox::new(MOST);
    let write = |outbox: &mut Outbox, second| {
        outbox.with_back(Duration::ZERO, |batch| batch.push_ticks([("a", tick(second, 1.0))], TERMS));
    };
    write(&mut outbox, 1);
    assert_eq!(outbox.seal_front().unwrap().ticks().len(), 1);
    write(&mut outbox, 2);
    assert_eq!(outbox.pop().unwrap().0.ticks().len(), 1);
    assert_eq!(outbox.pop().unwrap().0.ticks().next().unwrap().1, &tick(2, 1.0));
    assert_eq!(outbox.bytes(), 0);
}

/// A follower of a log in which a gateway wrote these batches, a message each, whose time ended at `second`.
fn followed(batches: &[Batch], second: i64) -> Follower {
    use crate::clock::{Clock, ClockMode};
    use crate::nats::message::{self, Body, ClockOf, Origin, Stage, SupplyOf, Writes};
    let aggregator = Aggregator::default();
    let engine = crate::engine::Engine::new(aggregator, Clock::new(ClockMode::Feed));
    let mut follower = Follower::new(std::sync::Arc::new(engine), 2, 0, None).for_gateway();
    for (place, batch) in batches.iter().enumerate() {
        let sequence = place as u64 + 1;
        let writes = Writes {
            origin: Origin { node: 1, batch: sequence },
            epoch: 1,
            stage: Stage::Going,
            now: Timestamp::from_seconds(second).unwrap().as_micros(),
            clock: ClockOf::Feed,
            next_number: ARRIVAL_NUMBERS,
            supply: SupplyOf::Up,
            coverage: candle_core::CoverageRing::default().to_parts(Timestamp::EPOCH),
        };
        let blob = crate::codec::encode(batch, &[], &Rules::DEFAULT);
        follower.fold(sequence, &message::encode(Body::Writes(writes), &blob)).unwrap();
    }
    follower
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second).unwrap()
}

/// A tick of `a` in each of these seconds, judged then.
fn ticks_at(batch: &mut Batch, seconds: std::ops::Range<i64>) {
    for second in seconds {
        batch.push_ticks([("a", tick(second, 1.0))], TickContext { now: at(second), ..TERMS });
    }
}

/// What a gateway sends that holds `held`, has a feed that is at `second`, and takes over from one that wrote `stored`.
fn sent(held: &Batch, second: i64, stored: &Follower) -> (Vec<String>, Vec<Box<str>>) {
    let (mut mine, mut outbox) = (Outbox::new(MOST), Outbox::new(MOST));
    mine.push(held, Duration::ZERO);
    let again = outbox.append_new(&mine, stored, at(second));
    let told = |piece: &Piece| -> Vec<String> {
        let told = |write: Write<'_>| match write {
            Write::List { id, .. } => format!("list {id}"),
            Write::Delist { id } => format!("delist {id}"),
            Write::Clear => "clear".to_owned(),
            Write::Ticks(run) => format!("ticks {}", run.len()),
        };
        piece.batch.writes().map(told).collect()
    };
    (outbox.pieces.iter().flat_map(told).collect(), again)
}

#[test]
fn a_start_over_that_the_log_has_is_not_sent_again_and_wipes_nothing() {
    let (mut stored, mut held) = (Batch::new(0), Batch::new(0));
    for batch in [&mut stored, &mut held] {
        ticks_at(batch, 5000..5010);
        batch.push(Write::Clear);
        ticks_at(batch, 100..105);
    }
    ticks_at(&mut held, 105..107);
    let (told, _) = sent(&held, 106, &followed(&[stored, Batch::new(0)], 104));
    assert_eq!(told, ["ticks 1", "ticks 1"]);
}

#[test]
fn a_start_over_that_the_log_lacks_is_sent_also_after_another_one() {
    let (mut stored, mut held) = (Batch::new(0), Batch::new(0));
    for batch in [&mut stored, &mut held] {
        batch.push(Write::Clear);
        ticks_at(batch, 5000..5003);
    }
    held.push(Write::Clear);
    ticks_at(&mut held, 100..102);
    let (told, _) = sent(&held, 101, &followed(&[stored], 5002));
    assert_eq!(told.iter().rev().take(3).collect::<Vec<_>>(), ["ticks 1", "ticks 1", "clear"]);
    let (told, _) = sent(&held, 101, &followed(&[], 0));
    assert_eq!(told.iter().filter(|one| *one == "clear").count(), 2);
}

#[test]
fn quotes_of_a_listing_that_is_over_in_the_log_do_not_come_into_the_next_one() {
    let (mut stored, mut held) = (Batch::new(0), Batch::new(0));
    for batch in [&mut stored, &mut held] {
        batch.push(Write::List { id: "a", description: None });
        ticks_at(batch, 100..105);
        batch.push(Write::Delist { id: "a" });
        batch.push(Write::List { id: "a", description: None });
    }
    let stored = followed(&[stored, Batch::new(0)], 105);
    assert_eq!(sent(&held, 105, &stored), (vec!["list a".to_owned(), "list a".to_owned()], vec!["a".into()]));
    ticks_at(&mut held, 105..107);
    assert_eq!(sent(&held, 106, &stored).0[2..], ["ticks 1", "ticks 1"]);
}

#[test]
fn it_is_known_up_to_when_ticks_were_dropped() {
    let mut outbox = Outbox::new(MOST);
    for second in 0..60_000_u32 {
        let context = TickContext { now: at(i64::from(second)), ..TERMS };
        let id = second.to_string();
        outbox.with_back(Duration::ZERO, |batch| {
            batch.push_ticks([(id.as_str(), tick(i64::from(second), 1.0))], context)
        });
    }
    let given = outbox.make_room(&Rules::DEFAULT);
    let kept = outbox.pieces.iter().flat_map(|piece| piece.batch.ticks());
    let oldest = kept.map(|(_, tick)| tick.time).min();
    assert!(given.dropped > 0 && given.dropped_until < oldest, "{given:?}, {oldest:?}");
    assert_eq!(given.dropped_until, oldest.map(|oldest| oldest.saturating_add(-1_000_000)));
}

#[test]
fn a_listing_that_is_over_for_long_is_not_held_however_little_comes() {
    let mut outbox = Outbox::new(MOST);
    outbox.with_back(Duration::ZERO, |piece| piece.push(Write::Delist { id: "a" }));
    for second in 1..=70 {
        let now = Duration::from_secs(second);
        let tick = tick(i64::try_from(second).unwrap(), 1.0);
        outbox.with_back(now, |piece| piece.push_ticks([("a", tick)], TERMS));
        outbox.forget_before(now.saturating_sub(Duration::from_secs(30)));
    }
    let held: Vec<_> = outbox.placed().map(|(_, piece, _)| piece.since).collect();
    assert!(held.iter().all(|since| *since >= Duration::from_secs(35)), "{held:?}");
    assert!(held.len() >= 30);
}

#[test]
fn what_is_sent_goes_first_and_only_for_want_of_room() {
    let mut outbox = Outbox::new(MOST);
    let fill = |outbox: &mut Outbox, seconds: std::ops::Range<u64>| {
        for second in seconds {
            let now = at(i64::try_from(second).unwrap());
            for _ in 0..1000 {
                let one = [("a", tick(0, 1.0))];
                let context = TickContext { now, ..TERMS };
                outbox.with_back(Duration::from_secs(second), |piece| piece.push_ticks(one, context));
            }
        }
    };
    fill(&mut outbox, 0..10);
    assert_eq!(outbox.forget_excess(Duration::from_secs(8)), None, "there is room");
    fill(&mut outbox, 10..60);
    let before = outbox.bytes();
    assert!(before > MOST);
    let until = outbox.forget_excess(Duration::from_secs(50)).unwrap();
    assert!(outbox.bytes() <= MOST && outbox.bytes() > MOST / 2, "{} of {before}", outbox.bytes());
    assert!(outbox.front().and_then(Batch::now) > Some(until));
    assert_eq!(outbox.make_room(&Rules::DEFAULT), Given::default());
    // Of what nobody has sent nothing goes.
    fill(&mut outbox, 60..120);
    outbox.forget_excess(Duration::from_mins(1));
    assert!(outbox.front().and_then(Batch::now) >= Some(at(55)));
    assert!(outbox.make_room(&Rules::DEFAULT).folded > 0);
}

#[test]
fn what_came_since_the_feeds_numbers_began_again_is_sent() {
    let numbered = |second, number| tick(second, 1.0).with_seq(number);
    let batch = |ticks: &[Tick]| {
        let mut batch = Batch::new(0);
        for tick in ticks {
            batch.push_ticks([("a", *tick)], TickContext { now: tick.time, ..TERMS });
        }
        batch
    };
    let feed = [numbered(99, 998), numbered(100, 999), numbered(105, 1), numbered(106, 2), numbered(107, 3)];
    for end in 1..5 {
        let (told, _) = sent(&batch(&feed), 107, &followed(&[batch(&feed[..end])], 107));
        assert_eq!(told.len(), 5 - end, "of a log that has {end}");
    }
}

#[test]
fn a_catalogue_that_is_announced_again_and_again_is_held_once_and_ends_no_fold() {
    let mut outbox = Outbox::new(MOST);
    let ids: Vec<String> = (0..3000).map(|id| format!("{id:05}")).collect();
    let mut folded_ticks = 0;
    for second in 0..100 {
        let now = Duration::from_secs(second);
        for id in &ids {
            outbox.with_back(now, |piece| piece.push(Write::List { id, description: Some("the same as before") }));
            outbox.with_back(now, |piece| piece.push_ticks([(id.as_str(), tick(0, 1.0))], TERMS));
        }
        folded_ticks += outbox.make_room(&Rules::DEFAULT).folded;
        assert!(outbox.bytes() <= MOST);
    }
    assert!(folded_ticks > 100_000, "{folded_ticks}");
    let described = |id| folded(&outbox).history(id).and_then(|history| history.description.clone());
    assert_eq!(described("00007").as_deref(), Some("the same as before"));
    // What changes anything stays.
    let changes = [
        Write::List { id: "00007", description: Some("another") },
        Write::Delist { id: "00008" },
        Write::Delist { id: "00009" },
        Write::List { id: "00009", description: Some("the same as before") },
    ];
    changes.into_iter().for_each(|write| outbox.with_back(Duration::from_secs(100), |piece| piece.push(write)));
    outbox.most = outbox.bytes() - 1;
    outbox.make_room(&Rules::DEFAULT);
    let aggregator = folded(&outbox);
    let description = |id| aggregator.history(id).map(|history| history.description.clone());
    assert_eq!(description("00007").flatten().as_deref(), Some("another"));
    assert!(description("00008").is_none());
    assert_eq!(description("00009").flatten().as_deref(), Some("the same as before"));
}
