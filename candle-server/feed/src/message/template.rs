//! The template decoder: reads quotes of the most frequent forms without a general JSON parser.
//!
//! A feed sends quotes of a few forms, up to a hundred thousand times per second. The template decoder reads only the
//! forms below, with or without single spaces between tokens. The parser reads all other messages. Both return equal
//! results.
//!
//! ```json
//! {"id":1,"price":12.34,"timestamp":1629648467.2,"size":0.5,"seq":7}
//! {"type":"QUOTE","data":{"isin":"QV532Y814406","price":452.2828}}
//! {"data":{"price":452.2828,"isin":"QV532Y814406"},"type":"QUOTE"}
//! ```
//!
//! Arrays of these forms are read as well. In the first form, `timestamp`, `size` and `seq` are optional.

use std::borrow::Cow;

use candle_core::Timestamp;

use super::{Quote, number};

/// The part of a frame that the template decoder did not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// The whole frame was read.
    Nothing,
    /// Only this number of elements was read. The parser must read the elements after them.
    After(usize),
}

/// Reads a frame that contains exactly one quote of a template form.
///
/// The frame may contain invalid UTF-8: the function checks each string, and the rest of a template form is ASCII.
pub(super) fn quote(frame: &[u8]) -> Option<Quote<'_>> {
    let mut cursor = Cursor { text: frame, at: 0 };
    cursor.quote().filter(|_| cursor.at == frame.len())
}

/// Calls `each` with the quotes of a frame, up to the first element that has no template form.
pub(super) fn quotes<'a>(text: &'a str, mut each: impl FnMut(Quote<'a>)) -> Rest {
    let mut cursor = Cursor { text: text.as_bytes(), at: 0 };
    if !cursor.eat(b"[") {
        return match quote(cursor.text) {
            Some(quote) => {
                each(quote);
                Rest::Nothing
            }
            None => Rest::After(0),
        };
    }
    let mut read = 0;
    loop {
        let Some(quote) = cursor.quote() else {
            return Rest::After(read);
        };
        // An element is complete only if a comma or the end of the array follows. `{...}x` is not an element.
        let last = cursor.eat(b"]");
        if last && cursor.at < text.len() || !last && !cursor.eat(b",") {
            return Rest::After(read);
        }
        each(quote);
        read += 1;
        if last {
            return Rest::Nothing;
        }
        cursor.space();
    }
}

/// A text and the position up to which the text was read. Most methods read one expected token, and stay in place if
/// the token differs.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn quote(&mut self) -> Option<Quote<'a>> {
        if !self.eat(b"{") {
            return None;
        }
        self.space();
        let quote = if self.key(b"\"id\":") {
            self.plain()?
        } else if self.key(b"\"type\":") {
            self.expect(b"\"QUOTE\"")?;
            self.comma()?;
            self.expect_key(b"\"data\":")?;
            self.data()?
        } else {
            self.expect_key(b"\"data\":")?;
            let quote = self.data()?;
            self.comma()?;
            self.expect_key(b"\"type\":")?;
            self.expect(b"\"QUOTE\"")?;
            quote
        };
        self.space();
        self.expect(b"}")?;
        Some(quote)
    }

    /// Reads the rest of a plain quote, starting with the id.
    fn plain(&mut self) -> Option<Quote<'a>> {
        let id = self.id()?;
        self.comma()?;
        self.expect_key(b"\"price\":")?;
        let mut quote = Quote { id, price: self.number()?.value()?, time: None, size: 0.0, seq: None };
        if self.next_key(b"\"timestamp\":") {
            quote.time = Some(self.number()?.timestamp()?);
        }
        if self.next_key(b"\"size\":") {
            quote.size = self.number()?.value()?;
        }
        if self.next_key(b"\"seq\":") {
            quote.seq = Some(self.number()?.integer()?);
        }
        Some(quote)
    }

    /// Reads the `data` object of an enveloped quote.
    fn data(&mut self) -> Option<Quote<'a>> {
        self.expect(b"{")?;
        self.space();
        let (id, price);
        if self.key(b"\"isin\":") {
            id = self.string()?;
            self.comma()?;
            self.expect_key(b"\"price\":")?;
            price = self.number()?.value()?;
        } else {
            self.expect_key(b"\"price\":")?;
            price = self.number()?.value()?;
            self.comma()?;
            self.expect_key(b"\"isin\":")?;
            id = self.string()?;
        }
        self.space();
        self.expect(b"}")?;
        Some(Quote { id: Cow::Borrowed(id), price, time: None, size: 0.0, seq: None })
    }

    fn id(&mut self) -> Option<Cow<'a, str>> {
        if self.peek() == Some(b'"') {
            return self.string().map(Cow::Borrowed);
        }
        let number = self.number()?;
        (number.fraction == 0).then(|| number.text().map(Cow::Borrowed))?
    }

    /// Reads a string without escapes.
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b"\"")?;
        let start = self.at;
        let end = start + self.rest().iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        self.at = end;
        self.expect(b"\"")?;
        std::str::from_utf8(self.text.get(start..end)?).ok()
    }

    /// Reads a number without an exponent.
    #[expect(clippy::inline_always, reason = "a call would return the struct through memory, which is a third slower")]
    #[inline(always)]
    fn number(&mut self) -> Option<Number<'a>> {
        let start = self.at;
        self.eat(b"-");
        let (whole, mantissa) = self.digits(0);
        if whole == 0 || whole > 1 && self.text[self.at - whole] == b'0' {
            return None;
        }
        let (fraction, mantissa) = if self.eat(b".") { self.digits(mantissa) } else { (0, mantissa) };
        let token = self.text.get(start..self.at)?;
        if fraction == 0 && token.ends_with(b".") || matches!(self.peek(), Some(b'e' | b'E')) {
            return None;
        }
        Some(Number { token, mantissa, digits: whole + fraction, fraction })
    }

    /// Reads the next digits and appends them to the decimal number `value`. Returns the number of digits and the new
    /// value.
    #[inline]
    fn digits(&mut self, mut value: u64) -> (usize, u64) {
        let start = self.at;
        loop {
            let (count, number) = leading_digits(self.eight());
            value = value.wrapping_mul(POWERS_OF_TEN[count]).wrapping_add(number);
            self.at += count;
            if count < 8 {
                return (self.at - start, value);
            }
        }
    }

    /// Returns the next eight bytes, padded with zeros at the end of the text.
    #[inline]
    fn eight(&self) -> [u8; 8] {
        let rest = self.rest();
        match (rest.first_chunk(), self.text.last_chunk()) {
            (Some(bytes), _) => *bytes,
            // Near the end of the text, the last eight bytes are loaded, and the bytes that were read before are
            // shifted out.
            (None, Some(last)) if !rest.is_empty() => {
                (u64::from_le_bytes(*last) >> (64 - 8 * rest.len())).to_le_bytes()
            }
            // The text is shorter than eight bytes, or all of it was read. In both cases, no template form matches.
            _ => [0; 8],
        }
    }

    /// Reads a comma and the key `key`. Returns false and stays in place if they do not follow.
    #[inline]
    fn next_key<const N: usize>(&mut self, key: &[u8; N]) -> bool {
        let start = self.at;
        if self.comma().is_some() && self.key(key) {
            return true;
        }
        self.at = start;
        false
    }

    #[inline]
    fn comma(&mut self) -> Option<()> {
        self.expect(b",")?;
        self.space();
        Some(())
    }

    #[inline]
    fn expect_key<const N: usize>(&mut self, key: &[u8; N]) -> Option<()> {
        self.key(key).then_some(())
    }

    #[inline]
    fn key<const N: usize>(&mut self, key: &[u8; N]) -> bool {
        let found = self.eat(key);
        if found {
            self.space();
        }
        found
    }

    #[inline]
    fn space(&mut self) {
        self.eat(b" ");
    }

    #[inline]
    fn expect<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        self.eat(literal).then_some(())
    }

    #[inline]
    fn eat<const N: usize>(&mut self, literal: &[u8; N]) -> bool {
        let found = self.rest().first_chunk() == Some(literal);
        if found {
            self.at += N;
        }
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }
}

/// A decimal number and its text.
struct Number<'a> {
    token: &'a [u8],
    /// The digits as an integer, without point and sign. The value is invalid if there are more than
    /// [`Number::MAX_DIGITS`] digits.
    mantissa: u64,
    digits: usize,
    /// The number of digits after the decimal point.
    fraction: usize,
}

impl<'a> Number<'a> {
    /// The number of decimal digits that always fit into 64 bits.
    const MAX_DIGITS: usize = 19;
    /// The limit below which an `f64` represents every integer.
    const MAX_EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

    /// Returns the correctly rounded value.
    ///
    /// The quotient of two exact `f64` is correctly rounded (Clinger, "How to Read Floating Point Numbers Accurately",
    /// 1990). The standard library parses numbers with more digits.
    #[inline]
    fn value(&self) -> Option<f64> {
        if self.digits > Self::MAX_DIGITS || self.mantissa >= Self::MAX_EXACT {
            return number::finite(self.text()?);
        }
        let magnitude = self.mantissa as f64 / POWERS_OF_TEN[self.fraction] as f64;
        Some(if self.negative() { -magnitude } else { magnitude })
    }

    fn timestamp(&self) -> Option<Timestamp> {
        if self.digits > Self::MAX_DIGITS || self.negative() {
            return number::timestamp(self.text()?);
        }
        let micros = if self.fraction <= MICRO_DIGITS {
            self.mantissa.checked_mul(POWERS_OF_TEN[MICRO_DIGITS - self.fraction])?
        } else {
            let unit = POWERS_OF_TEN[self.fraction - MICRO_DIGITS];
            self.mantissa / unit + u64::from(self.mantissa % unit >= unit / 2)
        };
        Timestamp::from_micros(micros.try_into().ok()?)
    }

    fn integer(&self) -> Option<u64> {
        if self.digits > Self::MAX_DIGITS || self.fraction > 0 || self.negative() {
            return number::integer(self.text()?);
        }
        Some(self.mantissa)
    }

    fn negative(&self) -> bool {
        self.token.starts_with(b"-")
    }

    /// Returns the token as text. Digits, a sign and a point are always UTF-8.
    fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.token).ok()
    }
}

/// Decimal digits between a second and a microsecond.
const MICRO_DIGITS: usize = 6;

/// The powers of ten that fit into 64 bits. All of them are also exact as `f64`.
const POWERS_OF_TEN: [u64; Number::MAX_DIGITS + 1] = {
    let mut powers = [1; Number::MAX_DIGITS + 1];
    let mut place = 1;
    while place < powers.len() {
        powers[place] = 10 * powers[place - 1];
        place += 1;
    }
    powers
};

/// Parses the leading digits of eight bytes. Returns their count and the number.
///
/// The function computes with all eight bytes in one integer, without a branch per digit (Lemire, "Quickly parsing
/// eight digits", 2018).
#[inline]
fn leading_digits(bytes: [u8; 8]) -> (usize, u64) {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    /// Eight zeros in ASCII.
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let word = u64::from_le_bytes(bytes);
    // The high half of an ASCII digit is 3, and stays 3 if 6 is added. A carry reaches only bytes after a byte that is
    // not a digit.
    let others = (word & HIGH ^ ZEROS) | (word.wrapping_add(0x0606_0606_0606_0606) & HIGH ^ ZEROS);
    let count = others.trailing_zeros() / u8::BITS;
    // Leading zeros pad the number to eight digits.
    let blank = u64::BITS - count * u8::BITS;
    let word = if count == 0 { ZEROS } else { word << blank | ZEROS & ((1 << blank) - 1) };
    let pairs = ((word & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    (count as usize, fours.wrapping_mul(10_000 << 32 | 1) >> 32)
}

#[cfg(test)]
mod tests;
