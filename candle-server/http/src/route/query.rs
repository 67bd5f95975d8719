//! Parses instrument ids and query parameters.

use std::borrow::Cow;

use candle_core::{Gaps, InstrumentId};
use percent_encoding::percent_decode_str;

use super::error::{IdError, RouteError};
use super::limits::{DEFAULT_LIMIT, MAX_LIMIT, MAX_STREAMED};

/// The parsed query parameters of the listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingQuery<'t> {
    /// The most instruments on the page, from 1 to [`MAX_LIMIT`].
    pub limit: u16,
    /// The page contains only ids after this id, in byte order.
    pub after: Option<Cow<'t, str>>,
    /// The page contains only ids with this prefix. An empty prefix matches every id.
    pub prefix: Cow<'t, str>,
}

/// The options of a history: which candles it lists, and in which JSON format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HistoryOptions {
    /// Selects if minutes without quotes have a candle. By default they have one.
    pub gaps: Gaps,
    /// The JSON format.
    pub format: Format,
}

/// The JSON format of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// An object with all fields of the instrument and all fields of its candles.
    #[default]
    Full,
    /// An array of items of the chart library "lightweight-charts".
    Lightweight,
}

impl HistoryOptions {
    /// Parses the parameters `fill` and `format`.
    pub(super) fn parse(query: &str) -> Result<Self, RouteError> {
        if query.is_empty() {
            return Ok(Self::default());
        }
        let gaps = match parameter(query, "fill")? {
            None => Gaps::Filled,
            Some("none") => Gaps::Omitted,
            Some(_) => return Err(RouteError::Parameter("fill")),
        };
        let format = match parameter(query, "format")? {
            None => Format::Full,
            Some("lightweight") => Format::Lightweight,
            Some(_) => return Err(RouteError::Parameter("format")),
        };
        Ok(Self { gaps, format })
    }
}

impl<'t> ListingQuery<'t> {
    /// Parses the parameters `limit`, `after` and `prefix`.
    pub(super) fn parse(query: &'t str) -> Result<Self, RouteError> {
        let limit = match parameter(query, "limit")? {
            None => DEFAULT_LIMIT,
            Some(text) => parse_limit(text).ok_or(RouteError::Parameter("limit"))?,
        };
        let after = parameter(query, "after")?.map(parse_id).transpose();
        let prefix = match parameter(query, "prefix")? {
            None | Some("") => Ok(Cow::Borrowed("")),
            Some(text) => parse_id(text),
        };
        Ok(Self {
            limit,
            after: after.map_err(|_| RouteError::Parameter("after"))?,
            prefix: prefix.map_err(|_| RouteError::Parameter("prefix"))?,
        })
    }
}

/// Parses the query of `/stream`. Repeated ids are dropped.
pub(super) fn parse_streamed(query: &str) -> Result<(Vec<Cow<'_, str>>, HistoryOptions), RouteError> {
    let mut ids: Vec<Cow<'_, str>> = Vec::new();
    // The list is split before its ids are decoded, so that an id can contain a comma as %2C.
    for raw in parameter(query, "ids")?.unwrap_or_default().split(',') {
        let id = parse_id(raw).map_err(|_| RouteError::Parameter("ids"))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
        if ids.len() > MAX_STREAMED {
            return Err(RouteError::Parameter("ids"));
        }
    }
    let options = HistoryOptions::parse(query)?;
    if options.format == Format::Lightweight && ids.len() > 1 {
        return Err(RouteError::Parameter("format"));
    }
    Ok((ids, options))
}

/// Returns the undecoded value of the parameter `name`. Without a `=`, the value is empty.
///
/// Names are compared undecoded: `%6Cimit` is an unknown parameter, and unknown parameters are ignored.
fn parameter<'t>(query: &'t str, name: &'static str) -> Result<Option<&'t str>, RouteError> {
    let mut values = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter_map(|(key, value)| (key == name).then_some(value));
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(RouteError::Repeated(name)),
    }
}

fn parse_limit(text: &str) -> Option<u16> {
    // Without this check, `parse` would accept a leading `+`.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
}

/// Decodes `raw` and checks the rules of an instrument id.
pub(super) fn parse_id(raw: &str) -> Result<Cow<'_, str>, IdError> {
    if !has_valid_escapes(raw.as_bytes()) {
        return Err(IdError::Escape);
    }
    let id = percent_decode_str(raw).decode_utf8().map_err(|_| IdError::Utf8)?;
    match InstrumentId::new(&id) {
        // The reserved id is well formed. No instrument has it, but a listing prefix may be equal to it.
        Ok(_) => Ok(id),
        Err(bad) => Err(IdError::Id(bad)),
    }
}

/// Returns true if two hexadecimal digits follow each `%`. The decoder does not reject an invalid escape.
fn has_valid_escapes(mut text: &[u8]) -> bool {
    while let Some(percent) = text.iter().position(|&byte| byte == b'%') {
        match &text[percent + 1..] {
            [high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => text = rest,
            _ => return false,
        }
    }
    true
}
