//! Frames into the decoder: it never panics, and its template says what `serde_json` says.
#![no_main]

use candle_server::message::{Message, Unreadable, decode, decode_without_template};

fn all<'f>(frame: &'f [u8], decode: impl FnOnce(&'f [u8], &mut dyn FnMut(Result<Message<'f>, Unreadable>))) -> String {
    let mut messages = String::new();
    // As text, since a NaN that got through on both sides would not equal itself.
    decode(frame, &mut |message| messages.push_str(&format!("{message:?}\n")));
    messages
}

libfuzzer_sys::fuzz_target!(|frame: &[u8]| {
    let with = all(frame, |frame, each| decode(frame, each));
    let without = all(frame, |frame, each| decode_without_template(frame, each));
    assert_eq!(with, without);
});
