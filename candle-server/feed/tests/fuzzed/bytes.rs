//! What the fuzz targets do with their bytes, for them and for the tests that replay what they found.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Aggregator, Config, InstrumentId};
use candle_engine::Engine;
use candle_engine::clock::{Clock, ClockMode};
use candle_engine::feeds::CATALOGUE_REPLAY_LIMIT;
use candle_feed::intake::Intake;
use candle_feed::message::{Message, Unreadable, decode, decode_without_template};
use candle_feed::partner::{Connect, Partner, REPLAY_QUIET};

/// A frame into the decoder: it never panics, and its template says what `serde_json` says.
pub(crate) fn message(frame: &[u8]) {
    let with = all(frame, |frame, each| decode(frame, each));
    let without = all(frame, |frame, each| decode_without_template(frame, each));
    assert_eq!(with, without);
}

fn all<'f>(frame: &'f [u8], decode: impl FnOnce(&'f [u8], &mut dyn FnMut(Result<Message<'f>, Unreadable>))) -> String {
    let mut messages = Vec::new();
    decode(frame, &mut |message| messages.push(message));
    // As text, since a NaN that got through on both sides would not equal itself.
    format!("{messages:#?}")
}

/// The life of a partner, a line for each event: how much later it comes (in tenths of a second; more than a hundred is a
/// reconnect), what comes, and of which instrument, or the frame itself. Each quote is counted once, in the end; what is
/// listed is what the obvious program lists.
pub(crate) fn partner(script: &[u8]) {
    let engine = Arc::new(Engine::new(Aggregator::new(Config::default().with_seed(1)), Clock::new(ClockMode::Wall)));
    let mut intake = Intake::new(Arc::clone(&engine));
    let mut partner = Partner::new(&mut intake);
    let mut model = Model::default();
    let mut now = Duration::ZERO;
    partner.connected(Connect::First, now);
    for line in script.split(|byte| *byte == b'\n') {
        let [step, what, rest @ ..] = line else { continue };
        let reconnects = *step > 100;
        now += Duration::from_millis(100) * u32::from(step % 101);
        if reconnects {
            partner.disconnected();
            partner.connected(Connect::Again, now);
            model.replay = Some(Replay { connected: now, ..Replay::default() });
        }
        let frame = frame(*what, rest);
        partner.frames([Ok(frame.as_slice())].into_iter(), now);
        decode(&frame, |message| model.take(message, now));
        partner.expire(now);
        model.pass(now);
        assert!(partner.deadline().is_none_or(|deadline| deadline > now), "something due is not done");
        let page = engine.aggregator.page(None, "", script.len() + 1);
        let listed: BTreeSet<String> = page.iter().map(|summary| summary.id.as_str().to_owned()).collect();
        assert_eq!(listed, model.listed);
    }
    partner.disconnected();
    assert_eq!(engine.aggregator.outcomes().received(), model.quotes);
    assert_eq!(engine.unreadable(), model.unreadable);
}

/// A message of one of eight instruments, or what it says itself.
fn frame(what: u8, rest: &[u8]) -> Vec<u8> {
    let id = rest.first().map_or(0, |byte| byte % 8);
    match what % 4 {
        0 => rest.to_vec(),
        1 => format!(r#"{{"type":"ADD","data":{{"isin":"{id}","description":"about {id}"}}}}"#).into(),
        2 => format!(r#"{{"type":"DELETE","data":{{"isin":"{id}"}}}}"#).into(),
        _ => format!(r#"{{"type":"QUOTE","data":{{"isin":"{id}","price":{what}}}}}"#).into(),
    }
}

/// The obvious program.
#[derive(Default)]
struct Model {
    listed: BTreeSet<String>,
    quotes: u64,
    unreadable: u64,
    replay: Option<Replay>,
}

#[derive(Default)]
struct Replay {
    connected: Duration,
    last_add: Option<Duration>,
    announced: BTreeSet<String>,
}

impl Model {
    fn take(&mut self, message: Result<Message<'_>, Unreadable>, now: Duration) {
        match message {
            Ok(Message::Quote(_)) => self.quotes += 1,
            Ok(Message::Add { id, .. }) => {
                let is_id = InstrumentId::new(&id).is_ok();
                if let Some(replay) = &mut self.replay {
                    replay.last_add = Some(now);
                    replay.announced.extend(is_id.then(|| id.to_string()));
                }
                self.listed.extend(is_id.then(|| id.to_string()));
            }
            Ok(Message::Delete { id }) => {
                self.listed.remove(&*id);
                if let Some(replay) = &mut self.replay {
                    replay.announced.remove(&*id);
                }
            }
            Err(_) => self.unreadable += 1,
        }
    }

    fn pass(&mut self, now: Duration) {
        let is_over = |replay: &mut Replay| {
            let Some(last_add) = replay.last_add else { return false };
            now >= last_add + REPLAY_QUIET || now >= replay.connected + CATALOGUE_REPLAY_LIMIT
        };
        if let Some(replay) = self.replay.take_if(is_over) {
            self.listed.retain(|id| replay.announced.contains(id));
        }
    }
}
