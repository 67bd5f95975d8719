//! The fuzz targets' inputs as ordinary tests: what they found so far, in `fuzz/seeds`, and a little at random.

#![allow(clippy::unwrap_used, reason = "helpers outside the test functions panic like the tests themselves")]

mod bytes;

use std::path::Path;

use proptest::prelude::*;

/// Runs every input that is kept of a target; how many there are.
fn replay(target: &str, run: fn(&[u8])) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let inputs = std::fs::read_dir(directory).unwrap().map(|input| std::fs::read(input.unwrap().path()).unwrap());
    inputs.map(|input| run(&input)).count()
}

#[test]
fn what_fuzzing_found_of_messages_is_read_alike_both_ways() {
    assert!(replay("message", bytes::message) > 100);
}

#[test]
fn what_fuzzing_found_of_partners_is_what_the_obvious_program_says() {
    assert!(replay("partner", bytes::partner) > 100);
}

/// Events, most of them of few instruments and close together.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let event = (0..120_u8, any::<u8>(), any::<u8>()).prop_map(|(step, what, id)| vec![step, what, id, b'\n']);
    prop::collection::vec(event, 0..200).prop_map(|events| events.concat())
}

proptest! {
    #[test]
    fn whatever_a_partner_does_it_is_what_the_obvious_program_says(script in script()) {
        bytes::partner(&script);
    }
}
