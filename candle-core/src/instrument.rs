//! Names of an instrument: the id that people know it by, and the handle that finds it fastest.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The id of an instrument: 1 to [`InstrumentId::MAX_BYTES`] bytes of UTF-8 without control characters or white
/// space, and not the reserved word `popular`.
///
/// Ids are ordered by their bytes, so `"10"` comes before `"9"`. Copies never allocate: ids of up to 22 bytes (an
/// ISIN has 12) are held in place, longer ones are shared.
///
/// ```
/// use candle_core::{BadId, InstrumentId};
///
/// let id = InstrumentId::new("QV532Y814406").unwrap();
/// assert_eq!(id.as_str(), "QV532Y814406");
/// assert_eq!(InstrumentId::new("popular"), Err(BadId::Reserved));
/// assert_eq!(InstrumentId::new("a b"), Err(BadId::Character(' ')));
/// ```
#[derive(Clone)]
pub struct InstrumentId(Repr);

/// What fits beside a length and the variant's tag in the 24 bytes that a shared string needs anyway.
const INLINE_BYTES: usize = 22;

#[derive(Clone)]
enum Repr {
    /// The first `len` of `bytes` are the id; they came from a `str`.
    Inline {
        len: u8,
        bytes: [u8; INLINE_BYTES],
    },
    Shared(Arc<str>),
}

impl InstrumentId {
    /// The longest id, in bytes: an ISIN has 12, exchange symbols up to about 30, and a request line must hold it.
    pub const MAX_BYTES: usize = 64;

    /// The one id that no instrument can have: `/instruments/popular` is something else.
    pub const RESERVED: &str = "popular";

    /// The id that `text` spells.
    ///
    /// # Errors
    /// [`BadId`] says why `text` is none.
    pub fn new(text: &str) -> Result<Self, BadId> {
        if text.is_empty() {
            return Err(BadId::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(BadId::TooLong { bytes: text.len() });
        }
        if text == Self::RESERVED {
            return Err(BadId::Reserved);
        }
        if let Some(bad) = text.chars().find(|c| c.is_control() || c.is_whitespace()) {
            return Err(BadId::Character(bad));
        }
        Ok(Self(Repr::of(text)))
    }

    /// The id as text.
    #[expect(clippy::missing_panics_doc, reason = "the bytes came from a str")]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Inline { .. } => {
                std::str::from_utf8(self.as_bytes()).expect("an inline id holds the bytes of the str it was made from")
            }
            Repr::Shared(text) => text,
        }
    }

    /// The id's bytes, by which ids are compared.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Shared(text) => text.as_bytes(),
        }
    }

    /// Whether these are the id's bytes.
    #[inline]
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        match &self.0 {
            Repr::Inline { len, bytes: mine } => usize::from(*len) == bytes.len() && equal(&mine[..bytes.len()], bytes),
            Repr::Shared(text) => text.as_bytes() == bytes,
        }
    }
}

/// Whether two texts of one length are equal. Those of 8 to 16 bytes, which most ids have, are compared as two words that
/// may overlap; a call of `memcmp` for so few bytes takes three times as long.
#[inline]
fn equal(a: &[u8], b: &[u8]) -> bool {
    match (a.first_chunk::<8>(), b.first_chunk::<8>(), a.last_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(a0), Some(b0), Some(a1), Some(b1)) if a.len() <= 16 => a0 == b0 && a1 == b1,
        _ => a == b,
    }
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
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        Self::new(text)
    }
}

impl fmt::Display for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Why a text is no [`InstrumentId`].
///
/// ```
/// use candle_core::InstrumentId;
///
/// let error = InstrumentId::new(&"x".repeat(65)).unwrap_err();
/// assert_eq!(error.to_string(), "an instrument id has at most 64 bytes, this one has 65");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadId {
    /// It is empty.
    Empty,
    /// It has more than [`InstrumentId::MAX_BYTES`] bytes.
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// It holds this control character or white space.
    Character(char),
    /// It is [`InstrumentId::RESERVED`].
    Reserved,
}

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = InstrumentId::MAX_BYTES;
        match self {
            Self::Empty => f.write_str("an instrument id is never empty"),
            Self::TooLong { bytes } => write!(f, "an instrument id has at most {max} bytes, this one has {bytes}"),
            Self::Character(c) => write!(f, "an instrument id holds no control character or white space such as {c:?}"),
            Self::Reserved => write!(f, "the id {:?} is reserved", InstrumentId::RESERVED),
        }
    }
}

impl std::error::Error for BadId {}

/// A listed instrument's place in one aggregator: finds it without hashing or comparing its id.
///
/// A handle of a delisted instrument finds nothing, even after the same id is listed again. It is a place, and of one
/// aggregator: in another one it names whatever is listed there.
///
/// ```
/// use candle_core::{Aggregator, Outcome, Tick, Timestamp};
///
/// let aggregator = Aggregator::default();
/// let handle = aggregator.list("BTC", None)?;
/// let now = Timestamp::EPOCH;
/// assert_eq!(aggregator.record_at(handle, &Tick::new(now, 9.5), now), Outcome::Opened);
/// aggregator.delist("BTC");
/// aggregator.list("BTC", None)?;
/// assert_eq!(aggregator.record_at(handle, &Tick::new(now, 9.5), now), Outcome::UnknownInstrument);
/// # Ok::<(), candle_core::ListError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    pub(crate) stripe: u16,
    pub(crate) slot: u32,
    /// Which of the instruments that held the slot one after another.
    pub(crate) generation: u32,
}

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
        assert_eq!(InstrumentId::new(&"é".repeat(33)), Err(BadId::TooLong { bytes: 66 }));
    }

    #[test]
    fn an_id_is_its_own_bytes_and_no_others_at_every_length() {
        let text = "abcdefghijklmnopqrstuvwxyz012345";
        for len in 1..=text.len() {
            let id = InstrumentId::new(&text[..len]).unwrap();
            assert!(id.is(&text.as_bytes()[..len]));
            assert!(!id.is(&text.as_bytes()[..len - 1]));
            for place in 0..len {
                let mut other = text.as_bytes()[..len].to_vec();
                other[place] = b'!';
                assert!(!id.is(&other), "{len} {place}");
            }
        }
    }

    #[test]
    fn white_space_and_controls_of_any_script_are_refused() {
        for bad in ["\0", "a\n", "\u{a0}", "x\u{2003}y", "\u{85}", "\u{7f}"] {
            assert!(matches!(InstrumentId::new(bad), Err(BadId::Character(_))), "{bad:?}");
        }
        assert_eq!(InstrumentId::new(""), Err(BadId::Empty));
    }

    #[test]
    fn ids_are_ordered_by_bytes() {
        let id = |text| InstrumentId::new(text).unwrap();
        assert!(id("10") < id("9"));
        assert!(id("z") < id("é"));
        assert!(id(&"a".repeat(22)) < id(&"a".repeat(23)));
    }
}
