use proptest::prelude::*;

use super::*;

fn all(frame: &[u8]) -> Vec<Result<Message<'_>, Unreadable>> {
    let mut messages = Vec::new();
    decode(frame, |message| messages.push(message));
    messages
}

fn one(frame: &str) -> Result<Message<'_>, Unreadable> {
    let mut messages = all(frame.as_bytes());
    assert_eq!(messages.len(), 1, "{frame}");
    messages.remove(0)
}

fn quote(frame: &str) -> Quote<'_> {
    match one(frame) {
        Ok(Message::Quote(quote)) => quote,
        other => panic!("{frame}: {other:?}"),
    }
}

fn plain(id: &str, price: f64) -> Quote<'_> {
    Quote {
        id: id.into(),
        price,
        time: None,
        size: 0.0,
        seq: None,
    }
}

fn at(micros: i64) -> Option<Timestamp> {
    Some(Timestamp::from_micros(micros).unwrap())
}

#[test]
fn a_plain_quote_reads_whole() {
    let line = r#"{"id":"BTCUSDT","price":87232.0,"timestamp":1742944020.715000,"size":0.00012,"seq":4744868157}"#;
    let expected = Quote {
        id: "BTCUSDT".into(),
        price: 87232.0,
        time: at(1_742_944_020_715_000),
        size: 0.00012,
        seq: Some(4_744_868_157),
    };
    assert_eq!(quote(line), expected);
    let integral = quote(r#"{ "id": 1, "price": 12.34, "timestamp": 12345678 }"#);
    assert_eq!(
        integral,
        Quote {
            time: at(12_345_678_000_000),
            ..plain("1", 12.34)
        }
    );
}

#[test]
fn envelopes_read_in_either_order() {
    let expected = plain("QV532Y814406", 452.2828);
    assert_eq!(
        quote(r#"{"type":"QUOTE","data":{"isin":"QV532Y814406","price":452.2828}}"#),
        expected
    );
    assert_eq!(
        quote(r#"{"data":{"price":452.2828,"isin":"QV532Y814406"},"type":"QUOTE"}"#),
        expected
    );
    let full = r#"{"type":"QUOTE","data":{"id":7,"price":1,"timestamp":2.5,"size":3,"seq":4}}"#;
    assert_eq!(
        quote(full),
        Quote {
            time: at(2_500_000),
            size: 3.0,
            seq: Some(4),
            ..plain("7", 1.0)
        }
    );
}

#[test]
fn adds_and_deletes_read() {
    let add = r#"{"data":{"description":"luptatum senectus","isin":"IU1I5C5N8300"},"type":"ADD"}"#;
    let id = Cow::Borrowed("IU1I5C5N8300");
    assert_eq!(
        one(add),
        Ok(Message::Add {
            id: id.clone(),
            description: Some("luptatum senectus".into())
        })
    );
    let bare = r#"{"type":"ADD","data":{"isin":"IU1I5C5N8300","description":null}}"#;
    assert_eq!(
        one(bare),
        Ok(Message::Add {
            id: id.clone(),
            description: None
        })
    );
    let delete = r#"{"data":{"description":"luptatum","isin":"IU1I5C5N8300"},"type":"DELETE"}"#;
    assert_eq!(one(delete), Ok(Message::Delete { id }));
}

#[test]
fn an_id_is_a_string_or_an_integer_token() {
    assert_eq!(quote(r#"{"id":4,"price":1}"#).id, quote(r#"{"id":"4","price":1}"#).id);
    assert_eq!(quote(r#"{"id":0,"price":1}"#).id, "0");
    assert_eq!(quote(r#"{"id":-7,"price":1}"#).id, "-7");
    assert_eq!(
        quote(r#"{"id":123456789012345678901234567890,"price":1}"#).id,
        "123456789012345678901234567890"
    );
    assert_eq!(quote(r#"{"id":"\u0041\n","price":1}"#).id, "A\n");
    assert_eq!(quote(r#"{"id":"€/₿","price":1}"#).id, "€/₿");
    for id in ["4.0", "4e0", "true", "null", "[4]", "{}", r#""\ud800""#] {
        assert_eq!(one(&format!(r#"{{"id":{id},"price":1}}"#)), Err(Unreadable::Id), "{id}");
    }
    assert_eq!(one(r#"{"price":1}"#), Err(Unreadable::Id));
}

#[test]
fn id_and_isin_are_two_names_and_each_shape_prefers_its_own() {
    assert_eq!(quote(r#"{"isin":"A","price":1}"#).id, "A");
    assert_eq!(quote(r#"{"isin":"A","id":"B","price":1}"#).id, "B");
    assert_eq!(
        quote(r#"{"type":"QUOTE","data":{"isin":"A","id":"B","price":1}}"#).id,
        "A"
    );
    assert_eq!(
        one(r#"{"type":"DELETE","data":{"id":9}}"#),
        Ok(Message::Delete { id: "9".into() })
    );
}

#[test]
fn a_long_id_is_readable() {
    let id = "x".repeat(5000);
    assert_eq!(quote(&format!(r#"{{"id":"{id}","price":1}}"#)).id, id);
}

#[test]
fn a_price_is_a_finite_json_number() {
    assert_eq!(quote(r#"{"id":1,"price":-5}"#).price.to_bits(), (-5.0f64).to_bits());
    assert_eq!(quote(r#"{"id":1,"price":0}"#).price.to_bits(), 0.0f64.to_bits());
    assert_eq!(quote(r#"{"id":1,"price":-0.0}"#).price.to_bits(), (-0.0f64).to_bits());
    assert_eq!(quote(r#"{"id":1,"price":1.5e3}"#).price.to_bits(), 1500.0f64.to_bits());
    for price in ["1e999", "-1e999", r#""1""#, "null", "true", "{}"] {
        assert_eq!(
            one(&format!(r#"{{"id":1,"price":{price}}}"#)),
            Err(Unreadable::Price),
            "{price}"
        );
    }
    for price in ["NaN", "Infinity", "01", "1.", ".5", "+1", "0x10", ""] {
        assert_eq!(
            one(&format!(r#"{{"id":1,"price":{price}}}"#)),
            Err(Unreadable::Syntax),
            "{price}"
        );
    }
    assert_eq!(one(r#"{"id":1}"#), Err(Unreadable::Price));
}

#[test]
fn prices_are_correctly_rounded() {
    for price in [
        "37.85049409295805",
        "0.1",
        "9007199254740993",
        "0.30000000000000004",
        "123456.78901234567",
        "5e-324",
    ] {
        let expected: f64 = price.parse().unwrap();
        assert_eq!(
            quote(&format!(r#"{{"id":1,"price":{price}}}"#)).price.to_bits(),
            expected.to_bits(),
            "{price}"
        );
    }
}

#[test]
fn optional_fields_may_be_null_but_not_wrong() {
    assert_eq!(
        quote(r#"{"id":1,"price":2,"timestamp":null,"size":null,"seq":null}"#),
        plain("1", 2.0)
    );
    assert_eq!(quote(r#"{"id":1,"price":2,"seq":"17"}"#).seq, Some(17));
    assert_eq!(
        quote(r#"{"id":1,"price":2,"seq":18446744073709551615}"#).seq,
        Some(u64::MAX)
    );
    assert!(
        quote(r#"{"id":1,"price":2,"size":-1}"#).size < 0.0,
        "the core judges it"
    );
    let wrong = [
        (r#""timestamp":"1""#, Unreadable::Time),
        (r#""timestamp":1742944020715"#, Unreadable::Time),
        (r#""timestamp":1e999"#, Unreadable::Time),
        (r#""size":"1""#, Unreadable::Size),
        (r#""size":1e999"#, Unreadable::Size),
        (r#""seq":-1"#, Unreadable::Seq),
        (r#""seq":1.5"#, Unreadable::Seq),
        (r#""seq":"""#, Unreadable::Seq),
        (r#""seq":18446744073709551616"#, Unreadable::Seq),
        (r#""price":2"#, Unreadable::RepeatedField),
        (r#""id":1"#, Unreadable::RepeatedField),
    ];
    for (field, expected) in wrong {
        assert_eq!(
            one(&format!(r#"{{"id":1,"price":2,{field}}}"#)),
            Err(expected),
            "{field}"
        );
    }
    let described = r#"{"type":"ADD","data":{"isin":"A","description":5}}"#;
    assert_eq!(one(described), Err(Unreadable::Description));
}

#[test]
fn unknown_fields_are_ignored_at_any_depth() {
    let deep = format!(
        r#"{{"id":1,"x":{}{},"price":2,"y":{{"id":[null]}}}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    assert_eq!(quote(&deep), plain("1", 2.0));
    assert_eq!(
        quote(r#"{"id":1,"price":2,"type":"trade","data":[1]}"#),
        plain("1", 2.0)
    );
}

#[test]
fn an_envelope_needs_its_data() {
    for data in ["", r#","data":null"#, r#","data":[1,2]"#, r#","data":"x""#] {
        assert_eq!(
            one(&format!(r#"{{"type":"QUOTE"{data}}}"#)),
            Err(Unreadable::Data),
            "{data}"
        );
    }
    assert_eq!(
        one(r#"{"type":"PING","data":{"isin":"A","price":1}}"#),
        Err(Unreadable::Id)
    );
}

#[test]
fn twenty_thousand_open_brackets_are_unreadable() {
    assert_eq!(one(&"[".repeat(20_000)), Err(Unreadable::Syntax));
    assert_eq!(one(&"{\"a\":".repeat(20_000)), Err(Unreadable::Syntax));
    assert_eq!(
        one(&("[".repeat(20_000) + &"]".repeat(20_000))),
        Err(Unreadable::NotAnObject)
    );
    assert_eq!(
        one(&format!(r#"{{"id":1,"price":2,"x":{}"#, "[".repeat(20_000))),
        Err(Unreadable::Syntax)
    );
    assert_eq!(
        one(&format!(r#"{{"id":{},"price":2}}"#, "[".repeat(20_000))),
        Err(Unreadable::Syntax)
    );
}

#[test]
fn what_is_no_object_is_unreadable() {
    for frame in ["", " ", "nonsense", "4", "null", "\"id\"", "true"] {
        assert_eq!(one(frame), Err(Unreadable::NotAnObject), "{frame}");
    }
    for frame in [
        "{",
        r#"{"id":1,"price":2"#,
        r#"{"id":1,"price":2}}"#,
        r#"{"id":1,"price":2} {}"#,
        "{'id':1}",
    ] {
        assert_eq!(one(frame), Err(Unreadable::Syntax), "{frame}");
    }
    assert_eq!(
        all(b"{\"id\":1,\"price\":2,\"x\":\"\xff\"}"),
        [Err(Unreadable::NotUtf8)]
    );
}

#[test]
fn a_bad_element_of_an_array_fails_alone() {
    let frame = r#"[{"id":1,"price":2},{"id":1,"price":"2"},7,["id",1],{"id":1.5,"price":2},null,{"id":3,"price":4}]"#;
    let expected = [
        Ok(Message::Quote(plain("1", 2.0))),
        Err(Unreadable::Price),
        Err(Unreadable::NotAnObject),
        Err(Unreadable::NotAnObject),
        Err(Unreadable::Id),
        Err(Unreadable::NotAnObject),
        Ok(Message::Quote(plain("3", 4.0))),
    ];
    assert_eq!(all(frame.as_bytes()), expected);
    assert_eq!(all(b"[]"), []);
    assert_eq!(all(b" [ ] "), []);
}

#[test]
fn a_break_costs_the_rest_of_the_frame_and_nothing_before_it() {
    let first = Ok(Message::Quote(plain("1", 2.0)));
    let breaks = [
        r#","#,
        r#",]"#,
        r#",{"id":1,"price":NaN},{"id":1,"price":2}]"#,
        r#" {"id":1,"price":2}]"#,
        "",
        "] x",
    ];
    for rest in breaks {
        let frame = format!(r#"[{{"id":1,"price":2}}{rest}"#);
        assert_eq!(
            all(frame.as_bytes()),
            [first.clone(), Err(Unreadable::Syntax)],
            "{rest}"
        );
    }
}

/// Lines of every shape, templates and their near misses alike.
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
            1 => Just("\"5\"".to_owned()),
        ]
    };
    let optional = move || proptest::option::of(number());
    let gap = || prop_oneof![4 => Just(""), 2 => Just(" "), 1 => Just("  "), 1 => Just("\t")];
    (id, number(), optional(), optional(), optional(), gap(), gap(), 0..6u8).prop_map(
        |(id, price, timestamp, size, seq, after, edge, shape)| {
            let field = |name: &str, value: &Option<String>| {
                value
                    .as_ref()
                    .map_or(String::new(), |value| format!(",{after}\"{name}\":{after}{value}"))
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

/// A frame of one line or several, with up to three bytes replaced, dropped or doubled.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop_oneof![
        lines(),
        (
            proptest::collection::vec(lines(), 0..5),
            prop_oneof![Just(","), Just(", ")]
        )
            .prop_map(|(lines, comma)| format!("[{}]", lines.join(comma))),
    ];
    let edits = proptest::collection::vec(
        (
            any::<prop::sample::Index>(),
            0..3u8,
            prop::sample::select(&b"{}[]\",:. -0159eEx\\\xc3"[..]),
        ),
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

/// A message with its floats as bits, so that zeros of both signs differ.
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
    fn any_bytes_are_survived(frame in proptest::collection::vec(any::<u8>(), 0..64)) {
        decode(&frame, drop);
    }
}

#[test]
fn the_template_reads_every_hot_shape_to_its_end() {
    let shapes = [
        r#"{"id":1,"price":12.34,"timestamp":1629648467.2}"#,
        r#"{"id": 1, "price": 12.34, "timestamp": 12345678}"#,
        r#"{ "id": 1, "price": 12.34, "timestamp": 12345678 }"#,
        r#"{"id":"BTCUSDT","price":87232.0,"timestamp":1742944020.715000,"size":0.00012,"seq":4744868157}"#,
        r#"{"type":"QUOTE","data":{"isin":"QV532Y814406","price":452.2828}}"#,
        r#"{"data":{"price":452.2828,"isin":"QV532Y814406"},"type":"QUOTE"}"#,
    ];
    for shape in shapes {
        assert_eq!(template::quotes(shape, drop), template::Rest::Nothing, "{shape}");
    }
    assert_eq!(
        template::quotes(&format!("[{}]", shapes.join(",")), drop),
        template::Rest::Nothing
    );
    assert_eq!(
        template::quotes(&format!("[{}, 7]", shapes.join(", ")), drop),
        template::Rest::After(6)
    );
}
