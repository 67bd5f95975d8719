//! Writes JSON bodies and computes a digest of their content for the `ETag`.
//!
//! The content is every byte except the view count and the time of the response.

use bytes::Bytes;
use hyper::header::HeaderValue;
use rapidhash::v3::rapidhash_v3;

use crate::server::CacheableResponse;

/// The digest of a sequence of texts. The same texts have the same digest on every machine and in every run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest(u64);

impl Digest {
    /// Returns the digest of the sequence with `text` appended.
    #[must_use]
    pub(crate) fn with(self, text: &[u8]) -> Self {
        let mut both = [0; 16];
        both[..8].copy_from_slice(&self.0.to_le_bytes());
        both[8..].copy_from_slice(&rapidhash_v3(text).to_le_bytes());
        Self(rapidhash_v3(&both))
    }

    /// Returns the digest as an entity tag. The tag is weak, because bytes outside the content may differ.
    pub(crate) fn etag(self) -> HeaderValue {
        // Every read runs this code. The formatter of the standard library would take five times as long.
        let mut text = *b"W/\"0123456789abcdef\"";
        for (index, digit) in text[3..19].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[usize::from((self.0 >> (60 - 4 * index)).to_le_bytes()[0] & 0xf)];
        }
        // All of these bytes are valid in a header.
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
    }
}

/// Builds a body. The digest includes only the bytes that are written as content.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyWriter {
    /// The bytes of the body, without the shared text.
    own: Vec<u8>,
    /// The position in `own` at which the shared text is inserted, and the text.
    shared: Option<(usize, Bytes)>,
    digest: Digest,
}

impl BodyWriter {
    /// Creates an empty body with a capacity of `bytes` bytes, without the shared text.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { own: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Appends content and adds it to the digest.
    pub(crate) fn tagged(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.own.len();
        write(&mut self.own);
        self.digest = self.digest.with(&self.own[start..]);
    }

    /// Appends bytes without adding them to the digest.
    ///
    /// If the bytes are content, the caller adds their digest with [`add_digest`](Self::add_digest).
    pub(crate) fn untagged(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.own);
    }

    /// Adds a precomputed digest of content that was appended without digesting it.
    pub(crate) fn add_digest(&mut self, digest: Digest) {
        self.digest = self.digest.with(&digest.0.to_le_bytes());
    }

    /// Appends `text` without digesting it. The caller adds its digest with [`add_digest`](Self::add_digest).
    ///
    /// The first shared text is referenced without a copy. Later shared texts are copied.
    pub(crate) fn shared(&mut self, text: Bytes) {
        match &self.shared {
            None => self.shared = Some((self.own.len(), text)),
            Some(_) => self.own.extend_from_slice(&text),
        }
    }

    /// Appends a JSON array. `write_item` appends one item.
    pub(crate) fn array<T>(&mut self, items: impl IntoIterator<Item = T>, mut write_item: impl FnMut(&mut Self, T)) {
        self.own.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.own.push(b',');
            }
            write_item(self, item);
        }
        self.own.push(b']');
    }

    /// Appends the bytes of `part` and adds its digest.
    pub(crate) fn append(&mut self, part: &Self) {
        part.slices().into_iter().for_each(|slice| self.own.extend_from_slice(slice));
        self.add_digest(part.digest);
    }

    /// Returns the digest of the content that was appended so far.
    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the body as one vector.
    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self.shared {
            None => self.own,
            Some(_) => self.slices().concat(),
        }
    }

    /// Returns the body as three segments, in order.
    pub(crate) fn into_segments(self) -> [Bytes; 3] {
        let (at, shared) = self.shared.unwrap_or_default();
        let mut rest = Bytes::from(self.own);
        [rest.split_to(at), shared, rest]
    }

    fn slices(&self) -> [&[u8]; 3] {
        let (at, shared) = self.shared.as_ref().map_or((0, &[][..]), |(at, shared)| (*at, shared));
        let (before, after) = self.own.split_at(at);
        [before, shared, after]
    }
}

impl From<BodyWriter> for CacheableResponse {
    fn from(body: BodyWriter) -> Self {
        let etag = body.digest().etag();
        Self::new(body.into_segments(), etag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_has_the_same_etag_in_every_release() {
        let digest = Digest::default().with(b"a").with(b"b");
        assert_eq!(digest.etag().as_bytes(), b"W/\"a0867fafe6aa549e\"");
    }

    #[test]
    fn the_digest_covers_the_content_only() {
        let digest = |views: &[u8], price: &[u8]| {
            let mut body = BodyWriter::default();
            body.untagged(|out| out.extend_from_slice(views));
            body.tagged(|out| out.extend_from_slice(price));
            body.digest()
        };
        assert_eq!(digest(b"1", b"9.5"), digest(b"2", b"9.5"));
        assert_ne!(digest(b"1", b"9.5"), digest(b"1", b"9.75"));
    }

    #[test]
    fn shared_texts_are_sent_at_their_position() {
        let mut body = BodyWriter::default();
        body.untagged(|out| out.push(b'1'));
        body.shared(Bytes::from_static(b"23"));
        body.tagged(|out| out.push(b'4'));
        body.shared(Bytes::from_static(b"56"));
        body.array([7, 8], |body, number: u8| body.untagged(|out| out.push(b'0' + number)));
        assert_eq!(body.clone().into_segments().concat(), b"123456[7,8]");
        let mut outer = BodyWriter::default();
        outer.untagged(|out| out.push(b'0'));
        outer.append(&body);
        assert_eq!(outer.into_vec(), b"0123456[7,8]");
        assert_eq!(body.into_vec(), b"123456[7,8]");
    }
}
