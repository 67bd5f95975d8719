//! Refusals as problem documents (RFC 9457): one stable `type` for each thing that can be wrong.
//!
//! The types are names, `urn:candle:problem:...`, and not addresses: they mean the same behind every proxy and host
//! name, and clients may compare them as strings. Titles and details are for people and may change.

use bytes::Bytes;
use serde::Serialize;

use crate::route::Refusal;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A kind of thing that can be wrong with a request.
///
/// ```
/// use candle_server::problem::Problem;
///
/// let document = Problem::UnknownInstrument.document("No instrument `7` is listed.");
/// assert_eq!(
///     document,
///     r#"{"type":"urn:candle:problem:unknown-instrument","title":"Unknown instrument","status":404,"detail":"No instrument `7` is listed."}"#
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// 400: the request breaks HTTP.
    BadRequest,
    /// 400: the id in the path could never be listed.
    BadId,
    /// 400: a known query parameter has a bad value, or two.
    BadQuery,
    /// 404: no route has this path.
    UnknownPath,
    /// 404: the instrument is not listed, or no longer.
    UnknownInstrument,
    /// 405: the path is right, the method is not.
    MethodNotAllowed,
    /// 408: the request did not arrive in time.
    Timeout,
    /// 413: a body came where none is expected.
    UnexpectedBody,
    /// 414: the target is too long.
    TargetTooLong,
    /// 431: the headers are too many or too large.
    HeadersTooLarge,
    /// 503: the server is starting or stopping.
    NotReady,
    /// 503: as many streams are open as may be.
    TooManyStreams,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// The status code of the answer.
    pub const fn status(self) -> u16 {
        self.words().0
    }

    /// The `type` of the document: a URN that never changes.
    pub const fn type_uri(self) -> &'static str {
        self.words().1
    }

    /// The document, as JSON; `detail` says what is wrong this time, in a sentence.
    pub fn document(self, detail: &str) -> Bytes {
        let (status, r#type, title) = self.words();
        let document = Document { r#type, title, status, detail };
        // Four plain fields always serialise; an empty body would still carry the status.
        serde_json::to_vec(&document).unwrap_or_default().into()
    }

    const fn words(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BadRequest => (400, "urn:candle:problem:bad-request", "Bad request"),
            Self::BadId => (400, "urn:candle:problem:bad-id", "Ill-formed instrument id"),
            Self::BadQuery => (400, "urn:candle:problem:bad-query", "Bad query parameter"),
            Self::UnknownPath => (404, "urn:candle:problem:unknown-path", "Unknown path"),
            Self::UnknownInstrument => (404, "urn:candle:problem:unknown-instrument", "Unknown instrument"),
            Self::MethodNotAllowed => (405, "urn:candle:problem:method-not-allowed", "Method not allowed"),
            Self::Timeout => (408, "urn:candle:problem:timeout", "Request timeout"),
            Self::UnexpectedBody => (413, "urn:candle:problem:unexpected-body", "No body is expected"),
            Self::TargetTooLong => (414, "urn:candle:problem:target-too-long", "Target too long"),
            Self::HeadersTooLarge => (431, "urn:candle:problem:headers-too-large", "Headers too large"),
            Self::TooManyStreams => (503, "urn:candle:problem:too-many-streams", "Too many streams"),
            Self::NotReady => (503, "urn:candle:problem:not-ready", "Not ready"),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchPath => Self::UnknownPath,
            Refusal::Method => Self::MethodNotAllowed,
            Refusal::Id(_) => Self::BadId,
            Refusal::Parameter(_) | Refusal::Repeated(_) => Self::BadQuery,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_escaped_whatever_it_holds() {
        let detail = "\"\\\u{0}</script>\u{2028}€";
        let document = Problem::BadId.document(detail);
        let value: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(value["detail"], detail);
        assert_eq!(value["status"], 400);
        assert_eq!(value["type"], Problem::BadId.type_uri());
    }
}
