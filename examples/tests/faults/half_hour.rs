//! Half an hour of two partners that say the same, the first of which fails in every way: what is served in the end
//! against what was said. The candles' clock runs so fast that it takes half a minute; the sockets and their faults are
//! real.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use candle_server::clock::{Clock, ClockMode};
use examples::partner::{Partner, Socket};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::proxy::{Fault, Proxy};
use crate::site::Site;

/// A minute is over in a second...
const SPEED: u32 = 60;
/// ...so patience is, too: a second to notice, one to turn, two to come back.
const PATIENCE: [&str; 6] = ["--stale-after", "1min", "--fail-over-after", "1min", "--fail-back-after", "2min"];
/// The time between two quotes, of any instrument.
const APART: Duration = Duration::from_millis(5);
/// Both partners always have these...
const SHARED: [&str; 3] = ["A", "B", "C"];
/// ...and the first one has other ones besides, from its restart on.
const BEFORE: &str = "D";
const AFTER: &str = "X";

/// What was said of one instrument, by minute: prices in their order.
type Tape = BTreeMap<&'static str, BTreeMap<i64, Vec<f64>>>;

/// The two partners, saying the same of what both have.
struct Engine {
    /// None while it is away.
    first: Mutex<Option<Partner>>,
    second: Partner,
    tape: Mutex<Tape>,
}

impl Engine {
    async fn quote_until(&self, clock: &Clock, is_over: watch::Receiver<bool>) {
        let mut pace = tokio::time::interval(APART);
        for number in 0.. {
            pace.tick().await;
            if *is_over.borrow() {
                return;
            }
            let id = SHARED[number % SHARED.len()];
            // Any price, the same in every run.
            let price = (number.wrapping_mul(0x9E37_79B9) >> 7) as f64 % 1000.0 / 8.0 + 1.0;
            let at = clock.now().as_micros();
            let (seconds, micros) = (at / 1_000_000, at % 1_000_000);
            let quote = |id: &str| {
                format!(r#"{{"id":"{id}","price":{price},"timestamp":{seconds}.{micros:06},"seq":{number}}}"#)
            };
            let mut tape = self.tape.lock().unwrap();
            tape.entry(id).or_default().entry(at.div_euclid(60_000_000) * 60).or_default().push(price);
            drop(tape);
            for partner in self.first.lock().unwrap().iter().chain([&self.second]) {
                partner.send_raw(Socket::Quotes, quote(id).as_str());
            }
        }
    }
}

async fn partner(addr: &str, instruments: &[&str]) -> Partner {
    let partner = Partner::bind(addr).await.unwrap();
    instruments.iter().for_each(|id| partner.add(id, ""));
    partner
}

/// Waits until the feed at `place` is active and brings what it should: at this speed a few milliseconds are late.
async fn on(site: &Site, place: usize) -> Value {
    let is_on = |feed: &Value| {
        feed["feeds"][place]["active"] == true && ["live", "lagging"].contains(&feed["state"].as_str().unwrap())
    };
    site.feed(&format!("feed {place} active and well"), is_on).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_half_an_hour_of_faults_a_complete_minute_is_what_was_said_and_every_other_is_marked() {
    let first = partner("127.0.0.1:0", &[&SHARED[..], &[BEFORE]].concat()).await;
    let address = first.addr();
    let second = partner("127.0.0.1:0", &[&SHARED[..], &[BEFORE]].concat()).await;
    let proxy = Proxy::to(address).await;
    let feeds = [proxy.addr, second.addr()].map(|addr| format!("partner+ws://{addr}"));
    let engine = Arc::new(Engine { first: Mutex::new(Some(first)), second, tape: Mutex::default() });
    let site = Site::on_clock(&feeds, Clock::new(ClockMode::Wall).at_speed(SPEED), &PATIENCE).await;
    let (end, is_over) = watch::channel(false);
    let quoting = tokio::spawn({
        let (engine, served) = (Arc::clone(&engine), Arc::clone(&site.engine));
        async move { engine.quote_until(&served.clock, is_over).await }
    });
    let wait_until = site.engine.clock.now().saturating_add(31 * 60_000_000);
    // Long enough to know the rate.
    let known = |feed: &Value| feed["feeds"][0]["quotesPerSecond"].as_f64().unwrap() > 0.0;
    site.feed("its rate known", known).await;

    let mut gaps = Gaps::default();
    for fault in [Fault::Cut, Fault::Freeze, Fault::Drip(Duration::from_millis(10)), Fault::Refuse] {
        proxy.inflict(fault);
        on(&site, 1).await;
        if fault == Fault::Refuse {
            // It comes back as another process would, without what it had before.
            let gone = engine.first.lock().unwrap().take();
            gone.unwrap().shutdown().await;
            let reborn = partner(&address.to_string(), &[&SHARED[..], &[AFTER]].concat()).await;
            *engine.first.lock().unwrap() = Some(reborn);
        }
        proxy.inflict(Fault::None);
        gaps.note(&on(&site, 0).await);
    }
    site.feed("half an hour", |_| site.engine.clock.now() > wait_until).await;
    end.send_replace(true);
    quoting.await.unwrap();
    gaps.note(&site.get("/feed").await);
    holds(&site, &engine, &gaps).await;
}

/// The gaps of the whole run, from and to, in their order: the server forgets them after half an hour.
#[derive(Debug, Default)]
struct Gaps(Vec<(f64, f64)>);

impl Gaps {
    fn note(&mut self, feed: &Value) {
        for gap in feed["gaps"].as_array().unwrap() {
            let from = gap["from"].as_f64().unwrap();
            // One that is open goes on at least until now.
            let to = gap["to"].as_f64().unwrap_or_else(|| feed["asOf"].as_f64().unwrap());
            self.0.retain(|(known, _)| *known < from);
            self.0.push((from, to));
        }
    }

    /// For how many seconds of the minute that begins then there was no supply.
    fn in_minute(&self, begins: f64) -> f64 {
        self.0.iter().map(|(from, to)| (to.min(begins + 60.0) - from.max(begins)).max(0.0)).sum()
    }
}

/// What is said so long before a gap may have been under way when the connection broke: a sixth of a second, on this clock.
const UNDER_WAY: f64 = 10.0;

/// Holds what is served to what was said.
async fn holds(site: &Site, engine: &Engine, gaps: &Gaps) {
    for id in [BEFORE, AFTER] {
        assert_eq!(site.get(&format!("/instruments/{id}")).await["id"], id, "a turn delists nothing");
    }
    assert!(gaps.0.len() >= 4, "one for each fault at least, more where the machine pauses: {gaps:?}");
    // What of the last minutes is missing may not have arrived, or been missed, when the quotes ended.
    let judged_to =
        engine.tape.lock().unwrap().values().filter_map(|minutes| minutes.keys().max()).max().unwrap() - 2 * 60;
    let mut complete = 0;
    for id in SHARED {
        let history = site.get(&format!("/instruments/{id}")).await;
        let candles = history["candles"].as_array().unwrap();
        assert_eq!(candles.len(), 30, "{history:#}");
        // The first may be that of the start.
        for candle in &candles[1..] {
            let open = candle["openTimestamp"].as_i64().unwrap();
            if open > judged_to {
                continue;
            }
            let lost = gaps.in_minute(open as f64);
            let wanted = match lost {
                0.0 => "complete",
                60.0 => "none",
                _ => "partial",
            };
            assert_eq!(candle["coverage"], wanted, "{candle:#}, {lost} s lost: {gaps:?}");
            let said = engine.tape.lock().unwrap()[id].get(&open).cloned().unwrap_or_default();
            match wanted {
                // A gap begins when it is noticed, and what was under way is lost with the connection.
                "complete" if gaps.in_minute(open as f64 + UNDER_WAY) > 0.0 => {}
                "complete" => {
                    complete += 1;
                    assert_eq!(told(candle), obvious(&said), "{id}: {candle:#}, {gaps:?}");
                }
                _ => assert!(candle["quotes"].as_u64().unwrap() <= said.len() as u64, "counted twice: {candle:#}"),
            }
        }
    }
    assert!(complete > 10, "{complete} complete minutes prove little");
}

fn told(candle: &Value) -> Value {
    json!([
        candle["openPrice"].as_f64(),
        candle["highPrice"].as_f64(),
        candle["lowPrice"].as_f64(),
        candle["closePrice"].as_f64(),
        candle["quotes"]
    ])
}

/// The candle of these prices.
fn obvious(said: &[f64]) -> Value {
    let high = said.iter().copied().fold(f64::MIN, f64::max);
    let low = said.iter().copied().fold(f64::MAX, f64::min);
    json!([said[0], high, low, said[said.len() - 1], said.len()])
}
