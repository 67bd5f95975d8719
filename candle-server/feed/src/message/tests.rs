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
    Quote { id: id.into(), price, time: None, size: 0.0, seq: None }
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

#[test]
fn a_plain_quote_is_decoded() {
    let line = r#"{"id":"BTCUSDT","price":87232.0,"timestamp":1742944020.715000,"size":0.00012,"seq":4744868157}"#;
    let expected = Quote {
        id: "BTCUSDT".into(),
        price: 87232.0,
        time: Some(at(1_742_944_020_715_000)),
        size: 0.00012,
        seq: Some(4_744_868_157),
    };
    assert_eq!(quote(line), expected);
    let integral = quote(r#"{ "id": 1, "price": 12.34, "timestamp": 12345678 }"#);
    assert_eq!(integral, Quote { time: Some(at(12_345_678_000_000)), ..plain("1", 12.34) });
}

#[test]
fn envelopes_are_decoded_in_either_order() {
    let expected = plain("QV532Y814406", 452.2828);
    assert_eq!(quote(r#"{"type":"QUOTE","data":{"isin":"QV532Y814406","price":452.2828}}"#), expected);
    assert_eq!(quote(r#"{"data":{"price":452.2828,"isin":"QV532Y814406"},"type":"QUOTE"}"#), expected);
    let full = r#"{"type":"QUOTE","data":{"id":7,"price":1,"timestamp":2.5,"size":3,"seq":4}}"#;
    assert_eq!(quote(full), Quote { time: Some(at(2_500_000)), size: 3.0, seq: Some(4), ..plain("7", 1.0) });
}

#[test]
fn adds_and_deletes_are_decoded() {
    let add = r#"{"data":{"description":"luptatum senectus","isin":"IU1I5C5N8300"},"type":"ADD"}"#;
    let id = Cow::Borrowed("IU1I5C5N8300");
    assert_eq!(one(add), Ok(Message::Add { id: id.clone(), description: Some("luptatum senectus".into()) }));
    let bare = r#"{"type":"ADD","data":{"isin":"IU1I5C5N8300","description":null}}"#;
    assert_eq!(one(bare), Ok(Message::Add { id: id.clone(), description: None }));
    let delete = r#"{"data":{"description":"luptatum","isin":"IU1I5C5N8300"},"type":"DELETE"}"#;
    assert_eq!(one(delete), Ok(Message::Delete { id }));
}

#[test]
fn an_id_is_a_string_or_an_integer_token() {
    assert_eq!(quote(r#"{"id":4,"price":1}"#).id, quote(r#"{"id":"4","price":1}"#).id);
    assert_eq!(quote(r#"{"id":0,"price":1}"#).id, "0");
    assert_eq!(quote(r#"{"id":-7,"price":1}"#).id, "-7");
    assert_eq!(quote(r#"{"id":123456789012345678901234567890,"price":1}"#).id, "123456789012345678901234567890");
    assert_eq!(quote(r#"{"id":"\u0041\n","price":1}"#).id, "A\n");
    assert_eq!(quote(r#"{"id":"€/₿","price":1}"#).id, "€/₿");
    for id in ["4.0", "4e0", "true", "null", "[4]", "{}", r#""\ud800""#] {
        assert_eq!(one(&format!(r#"{{"id":{id},"price":1}}"#)), Err(Unreadable::Id), "{id}");
    }
    assert_eq!(one(r#"{"price":1}"#), Err(Unreadable::Id));
}

#[test]
fn id_and_isin_are_two_names_and_each_message_form_prefers_its_own_name() {
    assert_eq!(quote(r#"{"isin":"A","price":1}"#).id, "A");
    assert_eq!(quote(r#"{"isin":"A","id":"B","price":1}"#).id, "B");
    assert_eq!(quote(r#"{"type":"QUOTE","data":{"isin":"A","id":"B","price":1}}"#).id, "A");
    assert_eq!(one(r#"{"type":"DELETE","data":{"id":9}}"#), Ok(Message::Delete { id: "9".into() }));
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
        assert_eq!(one(&format!(r#"{{"id":1,"price":{price}}}"#)), Err(Unreadable::Price), "{price}");
    }
    for price in ["NaN", "Infinity", "01", "1.", ".5", "+1", "0x10", ""] {
        assert_eq!(one(&format!(r#"{{"id":1,"price":{price}}}"#)), Err(Unreadable::Syntax), "{price}");
    }
    assert_eq!(one(r#"{"id":1}"#), Err(Unreadable::Price));
}

#[test]
fn prices_are_correctly_rounded() {
    for price in ["37.85049409295805", "0.1", "9007199254740993", "0.30000000000000004", "123456.78901234567", "5e-324"]
    {
        let expected: f64 = price.parse().unwrap();
        assert_eq!(quote(&format!(r#"{{"id":1,"price":{price}}}"#)).price.to_bits(), expected.to_bits(), "{price}");
    }
}

#[test]
fn optional_fields_may_be_null_but_not_invalid() {
    assert_eq!(quote(r#"{"id":1,"price":2,"timestamp":null,"size":null,"seq":null}"#), plain("1", 2.0));
    assert_eq!(quote(r#"{"id":1,"price":2,"seq":"17"}"#).seq, Some(17));
    assert_eq!(quote(r#"{"id":1,"price":2,"seq":18446744073709551615}"#).seq, Some(u64::MAX));
    assert!(quote(r#"{"id":1,"price":2,"size":-1}"#).size < 0.0, "a sell");
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
        assert_eq!(one(&format!(r#"{{"id":1,"price":2,{field}}}"#)), Err(expected), "{field}");
    }
    let described = r#"{"type":"ADD","data":{"isin":"A","description":5}}"#;
    assert_eq!(one(described), Err(Unreadable::Description));
}

#[test]
fn unknown_fields_are_ignored_at_any_depth() {
    let deep = format!(r#"{{"id":1,"x":{}{},"price":2,"y":{{"id":[null]}}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    assert_eq!(quote(&deep), plain("1", 2.0));
    assert_eq!(quote(r#"{"id":1,"price":2,"type":"trade","data":[1]}"#), plain("1", 2.0));
}

#[test]
fn an_envelope_needs_its_data() {
    for data in ["", r#","data":null"#, r#","data":[1,2]"#, r#","data":"x""#] {
        assert_eq!(one(&format!(r#"{{"type":"QUOTE"{data}}}"#)), Err(Unreadable::Data), "{data}");
    }
    assert_eq!(one(r#"{"type":"PING","data":{"isin":"A","price":1}}"#), Err(Unreadable::Id));
}

#[test]
fn twenty_thousand_open_brackets_are_unreadable() {
    assert_eq!(one(&"[".repeat(20_000)), Err(Unreadable::Syntax));
    assert_eq!(one(&"{\"a\":".repeat(20_000)), Err(Unreadable::Syntax));
    assert_eq!(one(&("[".repeat(20_000) + &"]".repeat(20_000))), Err(Unreadable::NotAnObject));
    assert_eq!(one(&format!(r#"{{"id":1,"price":2,"x":{}"#, "[".repeat(20_000))), Err(Unreadable::Syntax));
    assert_eq!(one(&format!(r#"{{"id":{},"price":2}}"#, "[".repeat(20_000))), Err(Unreadable::Syntax));
}

#[test]
fn a_frame_without_an_object_is_unreadable() {
    for frame in ["", " ", "nonsense", "4", "null", "\"id\"", "true"] {
        assert_eq!(one(frame), Err(Unreadable::NotAnObject), "{frame}");
    }
    for frame in ["{", r#"{"id":1,"price":2"#, r#"{"id":1,"price":2}}"#, r#"{"id":1,"price":2} {}"#, "{'id':1}"] {
        assert_eq!(one(frame), Err(Unreadable::Syntax), "{frame}");
    }
    assert_eq!(all(b"{\"id\":1,\"price\":2,\"x\":\"\xff\"}"), [Err(Unreadable::NotUtf8)]);
}

#[test]
fn an_unreadable_element_of_an_array_does_not_affect_the_others() {
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
fn a_syntax_error_drops_the_rest_of_the_frame_and_nothing_before_it() {
    let first = Ok(Message::Quote(plain("1", 2.0)));
    let breaks = [",", ",]", r#",{"id":1,"price":NaN},{"id":1,"price":2}]"#, r#" {"id":1,"price":2}]"#, "", "] x"];
    for rest in breaks {
        let frame = format!(r#"[{{"id":1,"price":2}}{rest}"#);
        assert_eq!(all(frame.as_bytes()), [first.clone(), Err(Unreadable::Syntax)], "{rest}");
    }
}
