//! An answer as it is written down, with a digest of what counts as its content.

use std::io::Write as _;

use hyper::header::HeaderValue;
use rapidhash::v3::rapidhash_v3;

/// The digest of a sequence of texts: the same on every machine and in every run, as two replicas must agree on it.
///
/// ```
/// use candle_server::document::Digest;
///
/// let digest = Digest::default().with(b"a").with(b"b");
/// assert_eq!(digest.etag().as_bytes(), b"W/\"a0867fafe6aa549e\"");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// The digest of the texts so far and `text` behind them.
    #[must_use]
    pub fn with(self, text: &[u8]) -> Self {
        let mut both = [0; 16];
        both[..8].copy_from_slice(&self.0.to_le_bytes());
        both[8..].copy_from_slice(&rapidhash_v3(text).to_le_bytes());
        Self(rapidhash_v3(&both))
    }

    /// The digest as a validator: weak, because what does not count may differ.
    pub fn etag(self) -> HeaderValue {
        let mut text = [0; 20];
        // Four characters and sixteen digits fill it exactly, and all of them may stand in a header.
        let _ = write!(&mut text[..], "W/\"{:016x}\"", self.0);
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
    }
}

/// A body being written: every byte of it either counts as content or does not.
///
/// ```
/// use candle_server::document::Document;
///
/// let written = |views: &[u8], price: &[u8]| {
///     let mut document = Document::default();
///     document.ignored(|out| out.extend_from_slice(views));
///     document.counted(|out| out.extend_from_slice(price));
///     document.digest()
/// };
/// assert_eq!(written(b"1", b"9.5"), written(b"2", b"9.5"));
/// assert_ne!(written(b"1", b"9.5"), written(b"1", b"9.75"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Document {
    body: Vec<u8>,
    digest: Digest,
}

impl Document {
    /// Writes content.
    pub fn counted(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.body.len();
        write(&mut self.body);
        self.digest = self.digest.with(&self.body[start..]);
    }

    /// Writes what is no content, or is counted by [`count`](Self::count).
    pub fn ignored(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.body);
    }

    /// Counts content whose digest is known.
    pub fn count(&mut self, digest: Digest) {
        self.digest = self.digest.with(&digest.0.to_le_bytes());
    }

    /// Writes an array, each item by `each`.
    pub fn array<T>(&mut self, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Self, T)) {
        self.body.push(b'[');
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.body.push(b',');
            }
            each(self, item);
        }
        self.body.push(b']');
    }

    /// Writes another document as a part of this one.
    pub fn append(&mut self, part: &Self) {
        self.body.extend_from_slice(&part.body);
        self.count(part.digest);
    }

    /// The digest of all content so far.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What is written.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}
