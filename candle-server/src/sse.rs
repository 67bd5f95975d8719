//! Server-sent events, as the HTML standard writes them down.

use candle_core::Timestamp;

/// The media type of a stream of events.
pub const MEDIA_TYPE: &str = "text/event-stream";
/// Appended where nothing else was sent for a while: keeps the connection alive, and clients don't see it.
pub const COMMENT: &[u8] = b":\n\n";

/// Appends how long a client should wait before it connects again.
pub fn retry(out: &mut Vec<u8>, milliseconds: u32) {
    out.extend_from_slice(format!("retry: {milliseconds}\n\n").as_bytes());
}

/// Appends an event that happened at `at`, which is also its id; `data` writes one line.
///
/// ```
/// use candle_core::Timestamp;
/// use candle_server::sse;
///
/// let mut out = Vec::new();
/// sse::event(&mut out, "delisted", Timestamp::EPOCH, |out| out.extend_from_slice(b"{}"));
/// assert_eq!(out, b"event: delisted\nid: 0\ndata: {}\n\n");
/// ```
pub fn event(out: &mut Vec<u8>, name: &str, at: Timestamp, data: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(format!("event: {name}\nid: {}\ndata: ", at.as_micros()).as_bytes());
    let begin = out.len();
    data(out);
    debug_assert!(!out[begin..].iter().any(|byte| matches!(byte, b'\n' | b'\r')), "JSON escapes line ends");
    out.extend_from_slice(b"\n\n");
}

/// The time in the id of the last event that a client has seen; `None` for an id that is none of ours.
pub fn last_event(id: &str) -> Option<Timestamp> {
    id.parse().ok().and_then(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_of_ours_is_a_time() {
        assert_eq!(last_event("1629650270250000"), Timestamp::from_micros(1_629_650_270_250_000));
        for id in ["", "x", "1.5", "99999999999999999999", "9223372036854775807"] {
            assert_eq!(last_event(id), None, "{id}");
        }
    }
}
