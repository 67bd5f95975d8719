//! Problem documents (RFC 9457): the JSON bodies of error responses. Each kind of error has one stable `type`.
//!
//! A type is a name, `urn:candle:problem:...`, and not an address. It is therefore independent of proxies and host
//! names, and clients compare it as a string. Titles and details are for people and may change.

use bytes::Bytes;
use serde::Serialize;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A kind of error.
///
/// ```
/// use candle_http::problem::Problem;
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
    /// 400: the request violates HTTP.
    BadRequest,
    /// 400: the id in the path is not a valid instrument id.
    BadId,
    /// 400: a known query parameter has an invalid value, or is given more than once.
    BadQuery,
    /// 404: no route has this path.
    UnknownPath,
    /// 404: the instrument is not listed.
    UnknownInstrument,
    /// 405: the path does not support the method.
    MethodNotAllowed,
    /// 408: the request did not arrive in time.
    Timeout,
    /// 413: the request has a body.
    UnexpectedBody,
    /// 414: the target is too long.
    TargetTooLong,
    /// 431: the headers are too many or too large.
    HeadersTooLarge,
    /// 503: the server is starting or stopping.
    NotReady,
    /// 503: the limit of open streams is reached.
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
    /// Returns the status code of the response.
    pub const fn status(self) -> u16 {
        self.fields().0
    }

    /// Returns the document as JSON. `detail` is a sentence about this occurrence.
    pub fn document(self, detail: &str) -> Bytes {
        let (status, r#type, title) = self.fields();
        let document = Document { r#type, title, status, detail };
        // Serialising four plain fields cannot fail. If it failed, the response would still have its status.
        serde_json::to_vec(&document).unwrap_or_default().into()
    }

    /// Returns the status, the type and the title.
    const fn fields(self) -> (u16, &'static str, &'static str) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_escaped() {
        let detail = "\"\\\u{0}</script>\u{2028}€";
        let document = Problem::BadId.document(detail);
        let value: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(value["detail"], detail);
        assert_eq!(value["status"], 400);
        assert_eq!(value["type"], "urn:candle:problem:bad-id");
    }
}
