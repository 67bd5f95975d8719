//! The functions that the fuzz targets run. The tests run the same functions on stored inputs.

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

/// Decodes a frame. The decoder must not panic, and its template decoder must agree with its parser.
pub(crate) fn message(frame: &[u8]) {
    let with = all(frame, |frame, each| decode(frame, each));
    let without = all(frame, |frame, each| decode_without_template(frame, each));
    assert_eq!(with, without);
}

fn all<'f>(frame: &'f [u8], decode: impl FnOnce(&'f [u8], &mut dyn FnMut(Result<Message<'f>, Unreadable>))) -> String {
    let mut messages = Vec::new();
    decode(frame, &mut |message| messages.push(message));
    // The messages are compared as text, because a NaN does not equal itself.
    format!("{messages:#?}")
}

/// Applies a script of partner events, one per line, and compares the result with a simple model.
///
/// The first byte of a line, modulo 101, is the time since the previous event, in tenths of a second. If the byte is
/// above 100, a reconnect precedes the event. The second byte selects the message. The rest is the instrument or the
/// frame.
///
/// After each event, the engine must list the same instruments as the model. At the end, each quote must be counted
/// once.
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
        decode(&frame, |message| model.apply(message, now));
        partner.expire(now);
        model.expire(now);
        assert!(
            partner.deadline().is_none_or(|deadline| deadline > now),
            "an expired quote or a complete replay is left"
        );
        let page = engine.aggregator.page(None, "", script.len() + 1);
        let listed: BTreeSet<String> = page.iter().map(|summary| summary.id.as_str().to_owned()).collect();
        assert_eq!(listed, model.listed);
    }
    partner.disconnected();
    assert_eq!(engine.aggregator.outcomes().received(), model.quotes);
    assert_eq!(engine.unreadable(), model.unreadable);
}

/// Returns a message of one of eight instruments, or `rest` as the frame.
fn frame(what: u8, rest: &[u8]) -> Vec<u8> {
    let id = rest.first().map_or(0, |byte| byte % 8);
    match what % 4 {
        0 => rest.to_vec(),
        1 => format!(r#"{{"type":"ADD","data":{{"isin":"{id}","description":"about {id}"}}}}"#).into(),
        2 => format!(r#"{{"type":"DELETE","data":{{"isin":"{id}"}}}}"#).into(),
        _ => format!(r#"{{"type":"QUOTE","data":{{"isin":"{id}","price":{what}}}}}"#).into(),
    }
}

/// A simple model of a partner.
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
    fn apply(&mut self, message: Result<Message<'_>, Unreadable>, now: Duration) {
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

    fn expire(&mut self, now: Duration) {
        let is_over = |replay: &mut Replay| {
            let Some(last_add) = replay.last_add else { return false };
            now >= last_add + REPLAY_QUIET || now >= replay.connected + CATALOGUE_REPLAY_LIMIT
        };
        if let Some(replay) = self.replay.take_if(is_over) {
            self.listed.retain(|id| replay.announced.contains(id));
        }
    }
}
