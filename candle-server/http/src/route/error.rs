//! The errors of parsing a route.

use std::fmt;

use candle_core::InvalidId;

use super::limits::{ALLOW, MAX_LIMIT, MAX_STREAMED};

/// The reason why no route matches a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// No route has this path.
    UnknownPath,
    /// The path exists, but the method is not in [`ALLOW`].
    Method,
    /// The id in the path is not a valid instrument id.
    Id(IdError),
    /// The named query parameter has an invalid value.
    Parameter(&'static str),
    /// The named query parameter is given more than once.
    Repeated(&'static str),
}

/// The reason why a text is not an instrument id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdError {
    /// A `%` is not followed by two hexadecimal digits.
    Escape,
    /// The decoded bytes are not UTF-8.
    Utf8,
    /// The decoded text is not a valid id.
    Id(InvalidId),
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPath => f.write_str("No route has this path."),
            Self::Method => write!(f, "This path supports {ALLOW}."),
            Self::Id(error) => write!(f, "The path is invalid: {error}."),
            Self::Parameter("limit") => {
                write!(f, "The query parameter `limit` must be a number from 1 to {MAX_LIMIT}.")
            }
            Self::Parameter("fill") => f.write_str("The query parameter `fill` must be `none` or absent."),
            Self::Parameter("format") => f.write_str(
                "The query parameter `format` must be `lightweight` or absent. A `lightweight` stream has one instrument.",
            ),
            Self::Parameter("ids") => {
                write!(f, "The query parameter `ids` must be 1 to {MAX_STREAMED} instrument ids, separated by commas.")
            }
            Self::Parameter(name) => write!(f, "The query parameter `{name}` is not a valid instrument id."),
            Self::Repeated(name) => write!(f, "The query parameter `{name}` is given more than once."),
        }
    }
}

impl std::error::Error for RouteError {}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Escape => f.write_str("the instrument id has a `%` without two hexadecimal digits after it"),
            Self::Utf8 => f.write_str("the decoded instrument id is not UTF-8"),
            Self::Id(bad) => bad.fmt(f),
        }
    }
}
