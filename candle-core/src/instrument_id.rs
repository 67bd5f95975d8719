//! The id of an instrument, and the error of an invalid id.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The id of an instrument: 1 to [`InstrumentId::MAX_BYTES`] bytes of UTF-8 without control characters. Inner spaces are
/// allowed (`BRK B`), leading and trailing white space is not.
///
/// Ids are ordered by their bytes, so `"10"` comes before `"9"`. A clone never allocates: ids of up to 22 bytes (an ISIN
/// has 12) are stored inline, and longer ids are shared.
///
/// ```
/// use candle_core::{InvalidId, InstrumentId};
///
/// let id = InstrumentId::new("QV532Y814406").unwrap();
/// assert_eq!(id.as_str(), "QV532Y814406");
/// assert!(InstrumentId::new("BRK B").is_ok());
/// assert_eq!(InstrumentId::new(" BRK"), Err(InvalidId::Character(' ')));
/// ```
#[derive(Clone)]
pub struct InstrumentId(Repr);

/// The room beside a length and the variant's tag in 24 bytes, the size of the shared variant.
const INLINE_BYTES: usize = 22;

#[derive(Clone)]
enum Repr {
    /// The first `len` bytes are the id, copied from a `str`.
    Inline {
        len: u8,
        bytes: [u8; INLINE_BYTES],
    },
    Shared(Arc<str>),
}

impl InstrumentId {
    /// The longest id, in bytes. An ISIN has 12, exchange symbols have up to about 30, and the id must fit a request line.
    pub const MAX_BYTES: usize = 64;

    /// Creates an id.
    ///
    /// # Errors
    /// Returns [`InvalidId`] if `text` is no valid id.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Err(InvalidId::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidId::TooLong { bytes: text.len() });
        }
        let outer = [text.chars().next(), text.chars().next_back()].into_iter().flatten().find(|c| c.is_whitespace());
        if let Some(invalid) = outer.or_else(|| text.chars().find(|c| c.is_control())) {
            return Err(InvalidId::Character(invalid));
        }
        Ok(Self(Repr::of(text)))
    }

    /// Returns the id as text.
    #[expect(clippy::missing_panics_doc, reason = "the bytes came from a str")]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Inline { .. } => std::str::from_utf8(self.as_bytes()).expect("an inline id is a copy of a str"),
            Repr::Shared(text) => text,
        }
    }

    /// Returns the bytes of the id, which define its order.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Shared(text) => text.as_bytes(),
        }
    }

    /// Returns true if `bytes` are the bytes of the id.
    #[inline]
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        match &self.0 {
            Repr::Inline { len, bytes: mine } => usize::from(*len) == bytes.len() && equal(&mine[..bytes.len()], bytes),
            Repr::Shared(text) => text.as_bytes() == bytes,
        }
    }
}

/// Returns true if two texts are equal.
#[inline]
pub(crate) fn same_text(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && equal(a, b)
}

/// Returns true if two texts of the same length are equal. Texts of 4 to 16 bytes, which most ids have, are compared as two
/// words that may overlap. A call of `memcmp` takes three times as long for so few bytes.
#[inline]
fn equal(a: &[u8], b: &[u8]) -> bool {
    match a.len() {
        8..=16 => equal_ends::<8>(a, b),
        4..8 => equal_ends::<4>(a, b),
        _ => a == b,
    }
}

/// Returns true if the first `N` bytes of two texts are equal and the last `N` bytes are equal.
#[inline]
fn equal_ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    a.first_chunk::<N>() == b.first_chunk() && a.last_chunk::<N>() == b.last_chunk()
}

impl Repr {
    fn of(text: &str) -> Self {
        let mut bytes = [0; INLINE_BYTES];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(text.as_bytes());
                Self::Inline { len, bytes }
            }
            _ => Self::Shared(text.into()),
        }
    }
}

impl PartialEq for InstrumentId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for InstrumentId {}

impl PartialOrd for InstrumentId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InstrumentId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for InstrumentId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Borrow<[u8]> for InstrumentId {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl std::str::FromStr for InstrumentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl fmt::Display for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for InstrumentId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for InstrumentId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The reason for which a text is no valid [`InstrumentId`].
///
/// ```
/// use candle_core::InstrumentId;
///
/// let error = InstrumentId::new(&"x".repeat(65)).unwrap_err();
/// assert_eq!(error.to_string(), "the instrument id has 65 bytes; at most 64 bytes are allowed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidId {
    /// The text is empty.
    Empty,
    /// The text has more than [`InstrumentId::MAX_BYTES`] bytes.
    TooLong {
        /// The number of bytes.
        bytes: usize,
    },
    /// The text contains this control character, or begins or ends with this white space.
    Character(char),
    /// The text is reserved; see [`Config::with_reserved_id`](crate::Config::with_reserved_id).
    Reserved,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = InstrumentId::MAX_BYTES;
        match self {
            Self::Empty => write!(f, "the instrument id is empty; 1 to {max} bytes are expected"),
            Self::TooLong { bytes } => {
                write!(f, "the instrument id has {bytes} bytes; at most {max} bytes are allowed")
            }
            Self::Character(c) => {
                write!(
                    f,
                    "the instrument id contains {c:?}; control characters are not allowed, nor is white space at either end"
                )
            }
            Self::Reserved => f.write_str("the instrument id is reserved; choose another id"),
        }
    }
}

impl std::error::Error for InvalidId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_three_words() {
        assert_eq!(size_of::<InstrumentId>(), 24);
    }

    #[test]
    fn ids_survive_at_every_length() {
        for len in 1..=InstrumentId::MAX_BYTES {
            let text = "é".repeat(len / 2) + if len % 2 == 1 { "x" } else { "" };
            assert_eq!(InstrumentId::new(&text).unwrap().as_str(), text);
        }
        assert_eq!(InstrumentId::new(&"é".repeat(33)), Err(InvalidId::TooLong { bytes: 66 }));
    }

    #[test]
    fn an_id_equals_its_own_bytes_only_at_every_length() {
        let text = "abcdefghijklmnopqrstuvwxyz012345";
        for len in 1..=text.len() {
            let id = InstrumentId::new(&text[..len]).unwrap();
            assert!(id.is(&text.as_bytes()[..len]));
            assert!(!id.is(&text.as_bytes()[..len - 1]));
            for index in 0..len {
                let mut other = text.as_bytes()[..len].to_vec();
                other[index] = b'!';
                assert!(!id.is(&other), "{len} {index}");
            }
        }
    }

    #[test]
    fn outer_white_space_and_controls_of_any_script_are_refused() {
        for invalid in [" ", " a", "a ", "\0", "a\n", "a\tb", "\u{a0}", "\u{2003}y", "x\u{2003}", "a\u{85}b", "\u{7f}"]
        {
            assert!(matches!(InstrumentId::new(invalid), Err(InvalidId::Character(_))), "{invalid:?}");
        }
        for valid in ["BRK B", "a\u{a0}b", "popular"] {
            assert_eq!(InstrumentId::new(valid).unwrap().as_str(), valid);
        }
        assert_eq!(InstrumentId::new(""), Err(InvalidId::Empty));
    }

    #[test]
    fn ids_are_ordered_by_bytes() {
        let id = |text| InstrumentId::new(text).unwrap();
        assert!(id("10") < id("9"));
        assert!(id("z") < id("é"));
        assert!(id(&"a".repeat(22)) < id(&"a".repeat(23)));
    }
}
