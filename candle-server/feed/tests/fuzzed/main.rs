//! Runs the fuzz targets as ordinary tests, on the inputs in `fuzz/seeds` and on random scripts.

#![allow(clippy::unwrap_used, reason = "helper functions panic like the tests")]

mod bytes;

use std::path::Path;

use proptest::prelude::*;

/// Runs the seed inputs of a target and returns their number.
fn replay(target: &str, run: fn(&[u8])) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let inputs = std::fs::read_dir(directory).unwrap().map(|input| std::fs::read(input.unwrap().path()).unwrap());
    inputs.map(|input| run(&input)).count()
}

#[test]
fn template_and_parser_agree_on_the_message_seeds() {
    assert!(replay("message", bytes::message) > 100);
}

#[test]
fn the_partner_matches_the_model_on_the_partner_seeds() {
    assert!(replay("partner", bytes::partner) > 100);
}

/// Generates scripts of up to 200 events. Most events follow each other without a reconnect.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let event = (0..120_u8, any::<u8>(), any::<u8>()).prop_map(|(step, what, id)| vec![step, what, id, b'\n']);
    prop::collection::vec(event, 0..200).prop_map(|events| events.concat())
}

proptest! {
    #[test]
    fn the_partner_matches_the_model_on_random_scripts(script in script()) {
        bytes::partner(&script);
    }
}
