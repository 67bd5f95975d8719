//! Formats server-sent events as the HTML standard defines them.

use candle_core::Timestamp;

/// The media type of a stream of events.
pub(crate) const MEDIA_TYPE: &str = "text/event-stream";
/// A comment. Clients ignore comments, and proxies do not close a connection that sends them.
pub(crate) const COMMENT: &[u8] = b":\n\n";

/// Appends the field that sets the time clients wait before they reconnect.
pub(crate) fn retry(out: &mut Vec<u8>, milliseconds: u32) {
    out.extend_from_slice(format!("retry: {milliseconds}\n\n").as_bytes());
}

/// Appends an event whose id is the time `at`. `write_data` must write one line.
pub(crate) fn event(out: &mut Vec<u8>, name: &str, at: Timestamp, write_data: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(format!("event: {name}\nid: {}\ndata: ", at.as_micros()).as_bytes());
    let start = out.len();
    write_data(out);
    debug_assert!(!out[start..].iter().any(|byte| matches!(byte, b'\n' | b'\r')), "JSON escapes line ends");
    out.extend_from_slice(b"\n\n");
}

/// Parses the id of an event and returns the time of the event. Returns `None` for an id that is not a time.
pub(crate) fn parse_id(id: &str) -> Option<Timestamp> {
    id.parse().ok().and_then(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_time_as_id() {
        let mut out = Vec::new();
        event(&mut out, "delisted", Timestamp::EPOCH, |out| out.extend_from_slice(b"{}"));
        assert_eq!(out, b"event: delisted\nid: 0\ndata: {}\n\n");
    }

    #[test]
    fn only_an_id_of_this_server_is_a_time() {
        assert_eq!(parse_id("1629650270250000"), Timestamp::from_micros(1_629_650_270_250_000));
        for id in ["", "x", "1.5", "99999999999999999999", "9223372036854775807"] {
            assert_eq!(parse_id(id), None, "{id}");
        }
    }
}
