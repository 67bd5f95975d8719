//! Decodes the frames of a feed into typed messages.
//!
//! A frame (one WebSocket text frame, or one line) contains one JSON object or an array of objects:
//!
//! ```json
//! {"id": 1, "price": 12.34, "timestamp": 12345678, "size": 0.5, "seq": 7}
//! {"type": "QUOTE", "data": {"isin": "QV532Y814406", "price": 452.2828}}
//! {"type": "ADD", "data": {"isin": "IU1I5C5N8300", "description": "luptatum senectus"}}
//! {"type": "DELETE", "data": {"isin": "IU1I5C5N8300"}}
//! ```
//!
//! - An object whose `type` is `QUOTE`, `ADD` or `DELETE` has its fields in `data`. Any other object is a plain quote.
//! - `id` and `isin` are two names of one field. A plain quote prefers `id`, and `data` prefers `isin`.
//! - `timestamp`, `size`, `seq` and `description` are optional. `null` means absent.
//! - Other fields are ignored. If one of the fields above is repeated, the message is unreadable.
//!
//! The decoder checks only the syntax. A price of -5 and an id of 5000 characters are readable, but the core rejects
//! them.

use std::borrow::Cow;
use std::fmt;

use candle_core::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

mod number;
mod template;
#[cfg(test)]
mod tests;

/// One message of a feed. Strings without escapes are borrowed from the frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Message<'a> {
    /// A new price of an instrument.
    Quote(Quote<'a>),
    /// Announces an instrument.
    Add {
        /// The id of the instrument.
        id: Cow<'a, str>,
        /// The description of the instrument.
        description: Option<Cow<'a, str>>,
    },
    /// Removes an instrument.
    Delete {
        /// The id of the instrument.
        id: Cow<'a, str>,
    },
}

/// One price update, as sent by the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote<'a> {
    /// The id of the instrument: the text of a JSON string, or the digits of an integer (`4` equals `"4"`).
    pub id: Cow<'a, str>,
    /// The price: any finite number.
    pub price: f64,
    /// The time of the update, if the feed sends one.
    pub time: Option<Timestamp>,
    /// The traded size: any finite number. The default is 0.
    pub size: f64,
    /// The sequence number of the update, if the feed sends one.
    pub seq: Option<u64>,
}

/// The reason why a message, or the rest of a frame, is unreadable.
///
/// ```
/// use candle_feed::message::{Unreadable, decode};
///
/// decode(b"{\"id\": 1, \"price\": 1e999}", |message| assert_eq!(message, Err(Unreadable::Price)));
/// assert_eq!(Unreadable::Price.to_string(), "the price is missing or not a finite number");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unreadable {
    /// The frame is binary.
    Binary,
    /// The frame is longer than the limit of its reader.
    Oversize,
    /// The frame is not UTF-8.
    NotUtf8,
    /// The JSON is invalid, and the rest of the frame is dropped.
    Syntax,
    /// The message is JSON, but not an object.
    NotAnObject,
    /// A known field is repeated.
    RepeatedField,
    /// The `type` has no `data` object.
    Data,
    /// The id is missing, or neither a string nor an integer.
    Id,
    /// The price is missing, or not a finite number.
    Price,
    /// The timestamp is not a number, or outside the years 1 to 9999.
    Time,
    /// The size is not a finite number.
    Size,
    /// The sequence number is not an integer from 0 to 2^64 - 1.
    Seq,
    /// The description is not a string.
    Description,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binary => "the frame is binary",
            Self::Oversize => "the frame is longer than the size limit",
            Self::NotUtf8 => "the frame is not UTF-8",
            Self::Syntax => "the JSON is invalid",
            Self::NotAnObject => "the message is not a JSON object",
            Self::RepeatedField => "a field is repeated",
            Self::Data => "the data is missing or not an object",
            Self::Id => "the id is missing or neither a string nor an integer",
            Self::Price => "the price is missing or not a finite number",
            Self::Time => "the timestamp is not a number or outside the years 1 to 9999",
            Self::Size => "the size is not a finite number",
            Self::Seq => "the sequence number is not an integer from 0 to 2^64 - 1",
            Self::Description => "the description is not a string",
        })
    }
}

impl std::error::Error for Unreadable {}

/// Decodes one frame and calls `each` with its messages, in order.
///
/// An unreadable element of an array does not affect the other elements. After a JSON syntax error, the rest of the
/// frame counts as one [`Unreadable`] message. Memory and time are proportional to the length of the frame at any
/// nesting depth.
///
/// ```
/// use candle_feed::message::{Message, decode};
///
/// let mut prices = Vec::new();
/// decode(br#"[{"id": 4, "price": 9.5}, {"id": "4", "price": 9.25}, {"id": 4.0, "price": 9}]"#, |message| {
///     if let Ok(Message::Quote(quote)) = message {
///         prices.push((quote.id, quote.price));
///     }
/// });
/// assert_eq!(prices, [("4".into(), 9.5), ("4".into(), 9.25)]);
/// ```
pub fn decode<'a>(frame: &'a [u8], mut each: impl FnMut(Result<Message<'a>, Unreadable>)) {
    if let Some(quote) = template::quote(frame) {
        return each(Ok(Message::Quote(quote)));
    }
    let Some(text) = text_of(frame, &mut each) else { return };
    match template::quotes(text, |quote| each(Ok(Message::Quote(quote)))) {
        template::Rest::Nothing => {}
        template::Rest::After(read) => parse(text, read, each),
    }
}

/// Decodes one frame without the template decoder. Tests and benchmarks compare [`decode`] with this function.
#[doc(hidden)]
pub fn decode_without_template<'a>(frame: &'a [u8], mut each: impl FnMut(Result<Message<'a>, Unreadable>)) {
    if let Some(text) = text_of(frame, &mut each) {
        parse(text, 0, each);
    }
}

fn text_of<'a>(frame: &'a [u8], each: &mut impl FnMut(Result<Message<'a>, Unreadable>)) -> Option<&'a str> {
    let text = std::str::from_utf8(frame);
    if text.is_err() {
        each(Err(Unreadable::NotUtf8));
    }
    let text = text.ok()?;
    // Most frames have no white space around them, and this check is cheaper than `trim_matches`.
    let is_bare = text.starts_with(['{', '[']) && text.ends_with(['}', ']']);
    Some(if is_bare { text } else { text.trim_matches([' ', '\t', '\r', '\n']) })
}

/// Parses the messages of `text`. In an array, the first `skip` elements are skipped.
fn parse<'a>(text: &'a str, skip: usize, mut each: impl FnMut(Result<Message<'a>, Unreadable>)) {
    if !text.starts_with('[') {
        return each(message(text));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let elements = Elements { skip, each: &mut each };
    if json.deserialize_seq(elements).and_then(|()| json.end()).is_err() {
        each(Err(Unreadable::Syntax));
    }
}

/// A visitor that calls `each` with every element immediately. So a syntax error does not affect the earlier elements.
struct Elements<F> {
    skip: usize,
    each: F,
}

impl<'a, F: FnMut(Result<Message<'a>, Unreadable>)> Visitor<'a> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut array: A) -> Result<(), A::Error> {
        while let Some(element) = array.next_element::<&'a RawValue>()? {
            if self.skip > 0 {
                self.skip -= 1;
            } else {
                (self.each)(message(element.get()));
            }
        }
        Ok(())
    }
}

/// The known fields of an object as raw JSON text. Only the text contains every digit of a number.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    isin: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    size: Option<&'a RawValue>,
    #[serde(borrow)]
    seq: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn of(object: &'a str) -> Result<Self, Unreadable> {
        if !object.starts_with('{') {
            // Without this check, serde would also read the struct from an array.
            return Err(Unreadable::NotAnObject);
        }
        serde_json::from_str(object).map_err(|error| match error.classify() {
            // In valid JSON, a repeated field is the only possible error of raw fields.
            serde_json::error::Category::Data => Unreadable::RepeatedField,
            _ => Unreadable::Syntax,
        })
    }

    fn quote(&self, id: Option<&'a RawValue>) -> Result<Message<'a>, Unreadable> {
        Ok(Message::Quote(Quote {
            id: id_of(id)?,
            price: self.price.and_then(finite).ok_or(Unreadable::Price)?,
            time: optional(self.timestamp, |raw| number::timestamp(raw.get()), Unreadable::Time)?,
            size: optional(self.size, finite, Unreadable::Size)?.unwrap_or(0.0),
            seq: optional(self.seq, seq_of, Unreadable::Seq)?,
        }))
    }
}

fn message(object: &str) -> Result<Message<'_>, Unreadable> {
    let outer = Fields::of(object)?;
    let kind = outer.r#type.and_then(string);
    let Some(kind @ ("QUOTE" | "ADD" | "DELETE")) = kind.as_deref() else {
        return outer.quote(outer.id.or(outer.isin));
    };
    let data = outer.data.filter(|raw| raw.get().starts_with('{')).ok_or(Unreadable::Data)?;
    let data = Fields::of(data.get())?;
    let id = data.isin.or(data.id);
    match kind {
        "QUOTE" => data.quote(id),
        "ADD" => {
            let description = optional(data.description, string, Unreadable::Description)?;
            Ok(Message::Add { id: id_of(id)?, description })
        }
        _ => Ok(Message::Delete { id: id_of(id)? }),
    }
}

fn optional<'a, T>(
    raw: Option<&'a RawValue>,
    read: impl FnOnce(&'a RawValue) -> Option<T>,
    otherwise: Unreadable,
) -> Result<Option<T>, Unreadable> {
    raw.map(|raw| read(raw).ok_or(otherwise)).transpose()
}

fn id_of(raw: Option<&RawValue>) -> Result<Cow<'_, str>, Unreadable> {
    let raw = raw.ok_or(Unreadable::Id)?;
    let digits = raw.get().strip_prefix('-').unwrap_or(raw.get());
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Cow::Borrowed(raw.get()));
    }
    string(raw).ok_or(Unreadable::Id)
}

fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

fn finite(raw: &RawValue) -> Option<f64> {
    number::finite(raw.get())
}

fn seq_of(raw: &RawValue) -> Option<u64> {
    number::integer(&string(raw).unwrap_or(Cow::Borrowed(raw.get())))
}
