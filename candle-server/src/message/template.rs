//! The hot quote shapes, read without a general JSON parser.
//!
//! The stream sends the same few shapes a hundred thousand times a second. This reads exactly those, each with or
//! without a single space where printers put one, and leaves everything else to the parser, so that it can only ever
//! be faster, never different:
//!
//! ```json
//! {"id":1,"price":12.34,"timestamp":1629648467.2,"size":0.5,"seq":7}
//! {"type":"QUOTE","data":{"isin":"QV532Y814406","price":452.2828}}
//! {"data":{"price":452.2828,"isin":"QV532Y814406"},"type":"QUOTE"}
//! ```
//!
//! and arrays of them. `timestamp`, `size` and `seq` may be missing, from the plain quote alone.

use std::borrow::Cow;

use candle_core::Timestamp;

use super::{Quote, number};

/// What is left of a frame when the template has done its part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// The whole frame has been read.
    Nothing,
    /// This many elements have been read; the parser takes the rest.
    After(usize),
}

/// Hands over the quotes of a frame up to the first thing that is not exactly a template.
pub(super) fn quotes<'a>(text: &'a str, mut each: impl FnMut(Quote<'a>)) -> Rest {
    let mut cursor = Cursor { text, at: 0 };
    if !cursor.eat("[") {
        return match cursor.quote() {
            Some(quote) if cursor.at == text.len() => {
                each(quote);
                Rest::Nothing
            }
            _ => Rest::After(0),
        };
    }
    let mut read = 0;
    loop {
        let Some(quote) = cursor.quote() else {
            return Rest::After(read);
        };
        // An element counts only with what follows it: `{...}x` is no element.
        let last = cursor.eat("]");
        if last && cursor.at < text.len() || !last && !cursor.eat(",") {
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

/// A place in the text. Its readers move past what they recognise and stay put at anything else.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn quote(&mut self) -> Option<Quote<'a>> {
        if !self.eat("{") {
            return None;
        }
        self.space();
        let quote = if self.key("\"id\":") {
            self.plain()?
        } else if self.key("\"type\":") {
            self.expect("\"QUOTE\"")?;
            self.comma()?;
            self.expect_key("\"data\":")?;
            self.data()?
        } else {
            self.expect_key("\"data\":")?;
            let quote = self.data()?;
            self.comma()?;
            self.expect_key("\"type\":")?;
            self.expect("\"QUOTE\"")?;
            quote
        };
        self.space();
        self.expect("}")?;
        Some(quote)
    }

    /// A plain quote from its id on.
    fn plain(&mut self) -> Option<Quote<'a>> {
        let id = self.id()?;
        self.comma()?;
        self.expect_key("\"price\":")?;
        let mut quote = Quote {
            id,
            price: self.number()?.value()?,
            time: None,
            size: 0.0,
            seq: None,
        };
        if self.next_key("\"timestamp\":") {
            quote.time = Some(self.number()?.timestamp()?);
        }
        if self.next_key("\"size\":") {
            quote.size = self.number()?.value()?;
        }
        if self.next_key("\"seq\":") {
            quote.seq = Some(number::integer(self.number()?.token)?);
        }
        Some(quote)
    }

    /// The object of an enveloped quote.
    fn data(&mut self) -> Option<Quote<'a>> {
        self.expect("{")?;
        self.space();
        let (id, price);
        if self.key("\"isin\":") {
            id = self.string()?;
            self.comma()?;
            self.expect_key("\"price\":")?;
            price = self.number()?.value()?;
        } else {
            self.expect_key("\"price\":")?;
            price = self.number()?.value()?;
            self.comma()?;
            self.expect_key("\"isin\":")?;
            id = self.string()?;
        }
        self.space();
        self.expect("}")?;
        Some(Quote {
            id: Cow::Borrowed(id),
            price,
            time: None,
            size: 0.0,
            seq: None,
        })
    }

    fn id(&mut self) -> Option<Cow<'a, str>> {
        if self.peek() == Some(b'"') {
            return self.string().map(Cow::Borrowed);
        }
        let number = self.number()?;
        (number.fraction == 0).then_some(Cow::Borrowed(number.token))
    }

    /// A string that holds no escape.
    fn string(&mut self) -> Option<&'a str> {
        self.expect("\"")?;
        let start = self.at;
        let end = start
            + self
                .rest()
                .iter()
                .position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        self.at = end;
        self.expect("\"")?;
        self.text.get(start..end)
    }

    /// A number without an exponent.
    fn number(&mut self) -> Option<Number<'a>> {
        let start = self.at;
        self.eat("-");
        let (whole, mantissa) = self.digits(0);
        if whole == 0 || whole > 1 && self.text.as_bytes()[self.at - whole] == b'0' {
            return None;
        }
        let (fraction, mantissa) = if self.eat(".") {
            self.digits(mantissa)
        } else {
            (0, mantissa)
        };
        let token = self.text.get(start..self.at)?;
        if token.ends_with('.') || matches!(self.peek(), Some(b'e' | b'E')) {
            return None;
        }
        Some(Number {
            token,
            mantissa,
            digits: whole + fraction,
            fraction,
        })
    }

    /// How many digits come next, and the number they make when they are put behind those of `value`.
    fn digits(&mut self, mut value: u64) -> (usize, u64) {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        (self.at - start, value)
    }

    /// A comma and the key after it, or nothing at all.
    fn next_key(&mut self, key: &str) -> bool {
        let start = self.at;
        if self.comma().is_some() && self.key(key) {
            return true;
        }
        self.at = start;
        false
    }

    fn comma(&mut self) -> Option<()> {
        self.expect(",")?;
        self.space();
        Some(())
    }

    fn expect_key(&mut self, key: &str) -> Option<()> {
        self.key(key).then_some(())
    }

    fn key(&mut self, key: &str) -> bool {
        let found = self.eat(key);
        if found {
            self.space();
        }
        found
    }

    fn space(&mut self) {
        self.eat(" ");
    }

    fn expect(&mut self, literal: &str) -> Option<()> {
        self.eat(literal).then_some(())
    }

    fn eat(&mut self, literal: &str) -> bool {
        let found = self.rest().starts_with(literal.as_bytes());
        if found {
            self.at += literal.len();
        }
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }
}

/// A decimal number as it stands in the text.
struct Number<'a> {
    token: &'a str,
    /// Its digits as one integer, point and sign left out; meaningless beyond [`Number::MAX_DIGITS`] of them.
    mantissa: u64,
    digits: usize,
    /// How many of the digits stand behind the point.
    fraction: usize,
}

impl Number<'_> {
    /// Every integer of so many digits fits 64 bits.
    const MAX_DIGITS: usize = 19;
    /// Every integer below it is a double.
    const MAX_EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

    /// The correctly rounded value.
    ///
    /// Two exact doubles divide into the correctly rounded quotient (Clinger, "How to Read Floating Point Numbers
    /// Accurately", 1990); the standard library takes what has more digits.
    fn value(&self) -> Option<f64> {
        if self.digits > Self::MAX_DIGITS || self.mantissa >= Self::MAX_EXACT {
            return number::finite(self.token);
        }
        let magnitude = self.mantissa as f64 / POWERS_OF_TEN[self.fraction];
        Some(if self.token.starts_with('-') {
            -magnitude
        } else {
            magnitude
        })
    }

    fn timestamp(&self) -> Option<Timestamp> {
        if self.digits > Self::MAX_DIGITS || self.fraction >= MICRO_SCALES.len() || self.token.starts_with('-') {
            return number::timestamp(self.token);
        }
        let scale = MICRO_SCALES[self.fraction];
        Timestamp::from_micros(self.mantissa.checked_mul(scale)?.try_into().ok()?)
    }
}

/// Microseconds in one unit of the last digit, for 0 to 6 digits behind the point.
const MICRO_SCALES: [u64; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

/// Exact doubles, one for each count of digits behind the point that [`Number::value`] divides by.
const POWERS_OF_TEN: [f64; Number::MAX_DIGITS + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
];
