//! An answer as it is written down, with a digest of what counts as its content.

use bytes::Bytes;
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
        // Digit by digit: the general formatter takes five times as long, for every read.
        let mut text = *b"W/\"0123456789abcdef\"";
        for (place, digit) in text[3..19].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[usize::from((self.0 >> (60 - 4 * place)).to_le_bytes()[0] & 0xf)];
        }
        // All of these may stand in a header.
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
    /// All of it but for what is shared.
    written: Vec<u8>,
    /// One text that other answers have too, and the place in `written` where it belongs.
    shared: Option<(usize, Bytes)>,
    digest: Digest,
}

impl Document {
    /// An empty one with room for so many bytes besides what is shared.
    pub fn with_room(bytes: usize) -> Self {
        Self { written: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Writes content.
    pub fn counted(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.written.len();
        write(&mut self.written);
        self.digest = self.digest.with(&self.written[start..]);
    }

    /// Writes what is no content, or is counted by [`count`](Self::count).
    pub fn ignored(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.written);
    }

    /// Counts content whose digest is known.
    pub fn count(&mut self, digest: Digest) {
        self.digest = self.digest.with(&digest.0.to_le_bytes());
    }

    /// Writes a text that is counted by [`count`](Self::count), without a copy if it is the first such.
    pub fn share(&mut self, text: Bytes) {
        match &self.shared {
            None => self.shared = Some((self.written.len(), text)),
            Some(_) => self.written.extend_from_slice(&text),
        }
    }

    /// Writes an array, each item by `each`.
    pub fn array<T>(&mut self, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Self, T)) {
        self.written.push(b'[');
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.written.push(b',');
            }
            each(self, item);
        }
        self.written.push(b']');
    }

    /// Writes another document as a part of this one.
    pub fn append(&mut self, part: &Self) {
        part.slices().into_iter().for_each(|slice| self.written.extend_from_slice(slice));
        self.count(part.digest);
    }

    /// The digest of all content so far.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What is written, in one piece.
    pub fn into_body(self) -> Vec<u8> {
        match self.shared {
            None => self.written,
            Some(_) => self.slices().concat(),
        }
    }

    /// What is written, in pieces that belong one behind another.
    pub fn into_parts(self) -> [Bytes; 3] {
        let (at, shared) = self.shared.unwrap_or_default();
        let mut rest = Bytes::from(self.written);
        [rest.split_to(at), shared, rest]
    }

    fn slices(&self) -> [&[u8]; 3] {
        let (at, shared) = self.shared.as_ref().map_or((0, &[][..]), |(at, shared)| (*at, shared));
        let (before, behind) = self.written.split_at(at);
        [before, shared, behind]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_texts_stand_where_they_were_written() {
        let mut document = Document::default();
        document.ignored(|out| out.push(b'1'));
        document.share(Bytes::from_static(b"23"));
        document.counted(|out| out.push(b'4'));
        document.share(Bytes::from_static(b"56"));
        document.array([7, 8], |document, number: u8| document.ignored(|out| out.push(b'0' + number)));
        assert_eq!(document.clone().into_parts().concat(), b"123456[7,8]");
        let mut outer = Document::default();
        outer.ignored(|out| out.push(b'0'));
        outer.append(&document);
        assert_eq!(outer.into_body(), b"0123456[7,8]");
        assert_eq!(document.into_body(), b"123456[7,8]");
    }
}
