use proptest::prelude::*;

use super::super::{Message, Unreadable, decode, decode_without_template};
use super::*;

/// Generates lines of every template form, and lines that almost have a template form.
fn lines() -> impl Strategy<Value = String> {
    let id = prop_oneof![
        "-?[0-9]{1,22}",
        "\"[A-Z0-9/ ]{0,12}\"",
        "\"[a-z\\\\u0€]{0,6}\"",
        Just("4.0".to_owned()),
        Just("null".to_owned()),
    ];
    let number = || {
        prop_oneof![
            4 => "-?[0-9]{1,10}(\\.[0-9]{1,12})?",
            1 => "-?[0-9]{1,22}(\\.[0-9]{0,22})?([eE][+-]?[0-9]{1,3})?",
            1 => any::<f64>().prop_map(|value| format!("{value}")),
            // Timestamps with a half of a microsecond, and slightly smaller ones.
            1 => "[0-9]{1,10}\\.[0-9]{6}(4999|5|50|5000)",
            1 => Just("\"5\"".to_owned()),
        ]
    };
    let optional = move || proptest::option::of(number());
    let gap = || prop_oneof![4 => Just(""), 2 => Just(" "), 1 => Just("  "), 1 => Just("\t")];
    (id, number(), optional(), optional(), optional(), gap(), gap(), 0..6u8).prop_map(
        |(id, price, timestamp, size, seq, after, edge, shape)| {
            let field = |name: &str, value: &Option<String>| {
                value.as_ref().map_or(String::new(), |value| format!(",{after}\"{name}\":{after}{value}"))
            };
            let tail = field("timestamp", &timestamp) + &field("size", &size) + &field("seq", &seq);
            match shape {
                0 => format!(
                    r#"{{"type":{after}"QUOTE",{after}"data":{after}{{{edge}"isin":{id},"price":{price}{edge}}}}}"#
                ),
                1 => {
                    format!(r#"{{{edge}"data":{after}{{"price":{price},{after}"isin":{id}}},"type":{after}"QUOTE"}}"#)
                }
                2 => format!(r#"{{"type":"QUOTE","data":{{"id":{id},"price":{price}{tail}}}}}"#),
                _ => format!(r#"{{{edge}"id":{after}{id},{after}"price":{after}{price}{tail}{edge}}}"#),
            }
        },
    )
}

/// Generates frames of one or several lines, with up to three bytes replaced, inserted or removed.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop_oneof![
        lines(),
        (proptest::collection::vec(lines(), 0..5), prop_oneof![Just(","), Just(", ")])
            .prop_map(|(lines, comma)| format!("[{}]", lines.join(comma))),
    ];
    let edits = proptest::collection::vec(
        (any::<prop::sample::Index>(), 0..3u8, prop::sample::select(&b"{}[]\",:. -0159eEx\\\xc3"[..])),
        0..4,
    );
    (whole, prop_oneof![Just(0), 0..4usize], edits).prop_map(|(whole, count, edits)| {
        let mut frame = whole.into_bytes();
        for (place, edit, byte) in edits.into_iter().take(count) {
            let place = place.index(frame.len());
            match edit {
                0 => frame[place] = byte,
                1 => frame.insert(place, byte),
                _ if frame.len() > 1 => drop(frame.remove(place)),
                _ => {}
            }
        }
        frame
    })
}

/// Returns the message with the bits of its floats, so that 0.0 and -0.0 differ.
fn exact(message: Result<Message<'_>, Unreadable>) -> (Result<Message<'_>, Unreadable>, Option<(u64, u64)>) {
    let bits = match &message {
        Ok(Message::Quote(quote)) => Some((quote.price.to_bits(), quote.size.to_bits())),
        _ => None,
    };
    (message, bits)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_template_never_differs_from_the_parser(frame in frames()) {
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        decode(&frame, |message| fast.push(exact(message)));
        decode_without_template(&frame, |message| slow.push(exact(message)));
        prop_assert_eq!(fast, slow, "{}", String::from_utf8_lossy(&frame));
    }

    #[test]
    fn no_bytes_cause_a_panic(frame in proptest::collection::vec(any::<u8>(), 0..64)) {
        decode(&frame, drop);
    }
}

#[test]
fn the_template_decoder_reads_every_template_form_completely() {
    let shapes = [
        r#"{"id":1,"price":12.34,"timestamp":1629648467.2}"#,
        r#"{"id": 1, "price": 12.34, "timestamp": 12345678}"#,
        r#"{ "id": 1, "price": 12.34, "timestamp": 12345678 }"#,
        r#"{"id":"BTCUSDT","price":87232.0,"timestamp":1742944020.715000,"size":0.00012,"seq":4744868157}"#,
        r#"{"type":"QUOTE","data":{"isin":"QV532Y814406","price":452.2828}}"#,
        r#"{"data":{"price":452.2828,"isin":"QV532Y814406"},"type":"QUOTE"}"#,
    ];
    for shape in shapes {
        assert_eq!(quotes(shape, drop), Rest::Nothing, "{shape}");
    }
    assert_eq!(quotes(&format!("[{}]", shapes.join(",")), drop), Rest::Nothing);
    assert_eq!(quotes(&format!("[{}, 7]", shapes.join(", ")), drop), Rest::After(6));
}

#[test]
fn digits_are_counted_and_parsed_up_to_the_first_other_byte() {
    for number in [0_u64, 1, 12_345_678, 87_654_321, 99_999_999, 10_000_000, 90_909_090] {
        assert_eq!(leading_digits(format!("{number:08}").as_bytes().try_into().unwrap()), (8, number));
    }
    for place in 0..8 {
        for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
            let mut bytes = *b"90129012";
            bytes[place] = byte;
            let number = std::str::from_utf8(&bytes[..place]).unwrap().parse().unwrap_or(0);
            assert_eq!(leading_digits(bytes), (place, number), "{bytes:?}");
        }
    }
}
