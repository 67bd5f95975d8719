use candle_core::{Gaps, InstrumentId, InvalidId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

fn get(target: &str) -> Result<Route<'_>, RouteError> {
    Ok(Route::parse(&Method::GET, target)?.expect("GET has a route"))
}

fn history(id: &str, gaps: Gaps) -> Route<'_> {
    Route::History { id: id.into(), options: HistoryOptions { gaps, ..HistoryOptions::default() } }
}

fn page<'t>(limit: u16, after: Option<&'t str>, prefix: &'t str) -> Route<'t> {
    Route::Listing(ListingQuery { limit, after: after.map(Cow::Borrowed), prefix: prefix.into() })
}

#[test]
fn each_path_has_its_route() {
    let cases = [
        ("/", Route::Start),
        ("/?x=1", Route::Start),
        ("/instruments", page(100, None, "")),
        ("/instruments?", page(100, None, "")),
        ("/instruments?limit=1&after=B%2BC&prefix=a+b&colour=red", page(1, Some("B+C"), "a+b")),
        ("/instruments?limit=1000&prefix=", page(1000, None, "")),
        ("/instruments?&&prefix=x&utm=100%", page(100, None, "x")),
        ("/instruments/popular", Route::Popular),
        ("/instruments/popular?limit=0", Route::Popular),
        ("/instruments/%70opular", history("popular", Gaps::Filled)),
        ("/instruments/4", history("4", Gaps::Filled)),
        ("/instruments/4?fill=none", history("4", Gaps::Omitted)),
        ("/instruments/BTC%2FUSD", history("BTC/USD", Gaps::Filled)),
        ("/instruments/a+b", history("a+b", Gaps::Filled)),
        ("/instruments/..", history("..", Gaps::Filled)),
        ("/instruments/%E2%82%AC", history("€", Gaps::Filled)),
        ("/livez", Route::Live),
        ("/readyz", Route::Ready),
    ];
    for (target, route) in cases {
        assert_eq!(get(target), Ok(route), "{target}");
    }
}

fn stream<'t>(ids: &[&'t str], gaps: Gaps, format: Format) -> Route<'t> {
    Route::Stream { ids: ids.iter().map(|id| Cow::Borrowed(*id)).collect(), options: HistoryOptions { gaps, format } }
}

#[test]
fn streams_and_formats_have_their_routes() {
    let lightweight = HistoryOptions { gaps: Gaps::Omitted, format: Format::Lightweight };
    let cases = [
        ("/instruments/4?format=lightweight&fill=none", Route::History { id: "4".into(), options: lightweight }),
        ("/instruments/a%2Fb/stream", stream(&["a/b"], Gaps::Filled, Format::Full)),
        ("/instruments/4/stream?fill=none&format=lightweight", stream(&["4"], Gaps::Omitted, Format::Lightweight)),
        ("/instruments/popular/stream", stream(&["popular"], Gaps::Filled, Format::Full)),
        ("/stream?ids=a,b%2Cc,a", stream(&["a", "b,c"], Gaps::Filled, Format::Full)),
        ("/stream?ids=a,a&format=lightweight", stream(&["a"], Gaps::Filled, Format::Lightweight)),
    ];
    for (target, route) in cases {
        assert_eq!(get(target), Ok(route), "{target}");
    }
    let twenty_one =
        format!("/stream?ids={}", (0..=MAX_STREAMED).map(|id| id.to_string()).collect::<Vec<_>>().join(","));
    for bad in ["/stream", "/stream?ids=", "/stream?ids=a,,b", "/stream?ids=%", &twenty_one] {
        assert_eq!(get(bad), Err(RouteError::Parameter("ids")), "{bad}");
    }
    for bad in ["/stream?ids=a,b&format=lightweight", "/stream?ids=a&format=x", "/instruments/4?format="] {
        assert_eq!(get(bad), Err(RouteError::Parameter("format")), "{bad}");
    }
    assert_eq!(get("/stream?ids=a&ids=b"), Err(RouteError::Repeated("ids")));
    for unknown in ["/stream/", "/instruments//stream", "/instruments/4/stream/", "/instruments/4/streams"] {
        assert_eq!(get(unknown), Err(RouteError::UnknownPath), "{unknown}");
    }
}

#[test]
fn an_unknown_path_is_rejected_for_every_method() {
    let paths = ["", "*", "instruments", "//", "/instruments/", "/instruments/a/", "/instruments/a/b", "//instruments"];
    for path in paths.into_iter().chain(["/livez/", "/Instruments", "/%69nstruments", "/favicon.ico"]) {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            assert_eq!(Route::parse(&method, path), Err(RouteError::UnknownPath), "{method} {path}");
        }
    }
}

#[test]
fn an_invalid_id_is_rejected_with_the_reason() {
    let long = format!("/instruments/{}", "x".repeat(InstrumentId::MAX_BYTES + 1));
    let cases = [
        ("/instruments/%", IdError::Escape),
        ("/instruments/a%2", IdError::Escape),
        ("/instruments/%zz", IdError::Escape),
        ("/instruments/%+1", IdError::Escape),
        ("/instruments/%FF", IdError::Utf8),
        ("/instruments/%00", IdError::Id(InvalidId::Character('\0'))),
        ("/instruments/%20a", IdError::Id(InvalidId::Character(' '))),
        ("/instruments/%C2%A0", IdError::Id(InvalidId::Character('\u{a0}'))),
        (long.as_str(), IdError::Id(InvalidId::TooLong { bytes: InstrumentId::MAX_BYTES + 1 })),
    ];
    for (target, error) in cases {
        assert_eq!(get(target), Err(RouteError::Id(error)), "{target}");
    }
}

#[test]
fn an_id_of_64_bytes_is_accepted_even_if_its_escapes_are_longer() {
    let target = format!("/instruments/{}", "%78".repeat(InstrumentId::MAX_BYTES));
    assert_eq!(get(&target), Ok(history(&"x".repeat(InstrumentId::MAX_BYTES), Gaps::Filled)));
}

#[test]
fn a_known_parameter_with_a_bad_or_repeated_value_is_rejected() {
    let bad = ["limit=0", "limit=1001", "limit=", "limit", "limit=+5", "limit=5.0", "limit=99999999999999999999"];
    for query in bad {
        assert_eq!(get(&format!("/instruments?{query}")), Err(RouteError::Parameter("limit")), "{query}");
    }
    assert_eq!(get("/instruments?after="), Err(RouteError::Parameter("after")));
    assert_eq!(get("/instruments?after=%FF"), Err(RouteError::Parameter("after")));
    assert_eq!(get("/instruments?prefix=%2"), Err(RouteError::Parameter("prefix")));
    assert_eq!(get("/instruments/4?fill=some"), Err(RouteError::Parameter("fill")));
    assert_eq!(get("/instruments/4?fill"), Err(RouteError::Parameter("fill")));
    assert_eq!(get("/instruments/4?fill=none&fill=none"), Err(RouteError::Repeated("fill")));
    assert_eq!(get("/instruments?limit=1&limit=1"), Err(RouteError::Repeated("limit")));
}

#[test]
fn other_methods_are_rejected_and_options_is_supported_on_every_path() {
    for target in ["/", "/instruments", "/instruments/popular", "/instruments/4", "/livez", "/readyz"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "get", "BREW"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(Route::parse(&method, target), Err(RouteError::Method), "{method} {target}");
        }
        assert_eq!(Route::parse(&Method::OPTIONS, target), Ok(None));
    }
    assert_eq!(Route::parse(&Method::OPTIONS, "*"), Ok(None));
    assert_eq!(Route::parse(&Method::HEAD, "/livez"), Ok(Some(Route::Live)));
}

proptest! {
    #[test]
    fn no_target_panics(target in "\\PC{0,80}", tail in "[/?&=%+a-f0-9]{0,40}") {
        for target in [target.clone(), format!("/instruments/{target}"), format!("/instruments?after={target}&{tail}"), tail] {
            let _ = Route::parse(&Method::GET, &target);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let target = String::from_utf8_lossy(&bytes);
        let _ = Route::parse(&Method::GET, &target);
        let escaped: String = bytes.iter().map(|&byte| percent_encoding::percent_encode_byte(byte)).collect();
        let target = format!("/instruments/{escaped}");
        match get(&target) {
            Ok(Route::History { id, .. }) => prop_assert_eq!(id.as_bytes(), &bytes),
            Ok(other) => prop_assert!(false, "{:?}", other),
            Err(refusal) => prop_assert!(matches!(refusal, RouteError::Id(_) | RouteError::UnknownPath)),
        }
    }

    #[test]
    fn an_encoded_id_decodes_to_itself(id in "[^\\s\\p{Cc}]{1,16}") {
        let target = format!("/instruments/{}", utf8_percent_encode(&id, NON_ALPHANUMERIC));
        prop_assume!(id != "popular");
        prop_assert_eq!(get(&target), Ok(history(&id, Gaps::Filled)));
    }
}
