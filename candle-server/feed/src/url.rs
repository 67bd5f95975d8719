//! Parses feed URLs, the values of `--feed`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::http::uri::PathAndQuery;

/// The maximum number of demo instruments: 1,000,000. This is ten times the server's default limit, so that tests can
/// exceed the limit.
pub const MAX_INSTRUMENTS: u32 = 1_000_000;
/// The maximum rate of the demo, in quotes per second: 10,000,000. One core cannot process this many.
pub const MAX_RATE: f64 = 10_000_000.0;
/// The maximum replay speed, as a multiple of the wall clock's speed: 1,000,000. A week then takes less than a second.
pub const MAX_SPEED: f64 = 1_000_000.0;

/// A validated feed URL.
///
/// `Display` and `Debug` omit user info and queries, which may contain secrets.
///
/// ```
/// use candle_feed::url::FeedUrl;
///
/// let feed: FeedUrl = "wss://user:secret@example.com/quotes?token=secret".parse().unwrap();
/// assert_eq!(feed.to_string(), "wss://example.com/quotes");
///
/// let error = "nonsense".parse::<FeedUrl>().unwrap_err();
/// assert!(error.to_string().starts_with("a feed is one of demo:, ws://"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum FeedUrl {
    /// `demo:[?instruments=10&rate=5000/min&speed=50&seed=1]`: the built-in demo feed with random prices.
    Demo(DemoOptions),
    /// `ws://` or `wss://`: one WebSocket of quotes.
    WebSocket(SocketUrl),
    /// `partner+ws://` or `partner+wss://`: two WebSockets under one address.
    Partner {
        /// The WebSocket that sends `ADD` and `DELETE` messages, at `/instruments`.
        instruments: SocketUrl,
        /// The WebSocket that sends `QUOTE` messages, at `/quotes`.
        quotes: SocketUrl,
    },
    /// `stdin:`: standard input, one message per line.
    Stdin,
    /// `file:PATH[?speed=..]`: a file, one message per line.
    File {
        /// The path as given, absolute or relative to the working directory.
        path: PathBuf,
        /// The speed of the replay.
        pace: Pace,
    },
}

/// The addresses of a live feed's WebSockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'u> {
    /// One WebSocket of quotes.
    Single(&'u SocketUrl),
    /// The two WebSockets of a partner.
    Pair {
        /// The WebSocket that sends `ADD` and `DELETE` messages.
        instruments: &'u SocketUrl,
        /// The WebSocket that sends `QUOTE` messages.
        quotes: &'u SocketUrl,
    },
}

/// The options of a `demo:` feed.
///
/// ```
/// use candle_feed::url::DemoOptions;
///
/// let options = DemoOptions { instruments: 50_000, ..DemoOptions::default() };
/// assert_eq!(options.speed, 50.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DemoOptions {
    /// The number of instruments; their ids are `0` to `instruments - 1`.
    pub instruments: u32,
    /// The number of quotes per second of wall time; finite and above zero.
    pub rate: f64,
    /// The speed of the demo's clock, as a multiple of the wall clock's speed; finite and above zero.
    pub speed: f64,
    /// The seed of the random prices. Equal seeds give equal quotes.
    pub seed: u64,
}

impl Default for DemoOptions {
    /// Returns 10 instruments, 5000 quotes per minute, 50 times the wall clock's speed, and the seed 1. The chart is
    /// then full in under a minute.
    fn default() -> Self {
        Self { instruments: 10, rate: 5000.0 / 60.0, speed: 50.0, seed: 1 }
    }
}

/// The speed at which a file is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as the file can be read.
    Full,
    /// A multiple of the wall clock's speed; above zero, at most [`MAX_SPEED`].
    Times(f64),
}

impl FromStr for FeedUrl {
    type Err = FeedUrlError;

    fn from_str(text: &str) -> Result<Self, FeedUrlError> {
        let (scheme, rest) = text.split_once(':').ok_or(FeedUrlError::Scheme)?;
        match scheme {
            "demo" => demo(rest).map(Self::Demo),
            "ws" | "wss" => text.parse().map(Self::WebSocket),
            "partner+ws" | "partner+wss" => {
                let base: SocketUrl = text.trim_start_matches("partner+").parse()?;
                Ok(Self::Partner { instruments: base.join("/instruments")?, quotes: base.join("/quotes")? })
            }
            "stdin" if rest.is_empty() => Ok(Self::Stdin),
            "stdin" => Err(FeedUrlError::Path("stdin:")),
            "file" => file(rest),
            _ => Err(FeedUrlError::Scheme),
        }
    }
}

impl FeedUrl {
    /// Returns the WebSockets of a live feed; `None` for a feed without a connection.
    pub const fn endpoint(&self) -> Option<Endpoint<'_>> {
        match self {
            Self::WebSocket(url) => Some(Endpoint::Single(url)),
            Self::Partner { instruments, quotes } => Some(Endpoint::Pair { instruments, quotes }),
            Self::Demo(_) | Self::Stdin | Self::File { .. } => None,
        }
    }
}

impl fmt::Display for FeedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demo(_) => f.write_str("demo:"),
            Self::WebSocket(url) => url.fmt(f),
            Self::Partner { instruments, .. } => {
                write!(f, "partner+{}", instruments.to_string().trim_end_matches("/instruments"))
            }
            Self::Stdin => f.write_str("stdin:"),
            Self::File { path, .. } => write!(f, "file:{}", path.display()),
        }
    }
}

/// The address of one WebSocket: `ws://` or `wss://`, with a host.
#[derive(Clone, PartialEq, Eq)]
pub struct SocketUrl(Uri);

impl SocketUrl {
    /// Returns the whole address, including secrets. Only the handshake may use this address.
    pub const fn uri(&self) -> &Uri {
        &self.0
    }

    /// Returns the host. An IPv6 address has no brackets.
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// Returns the port. The default is 80, or 443 with TLS.
    pub fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.0.scheme_str() == Some("wss") { 443 } else { 80 })
    }

    /// Returns the address with `path` appended to its path, and with the same query.
    fn join(&self, path: &str) -> Result<Self, FeedUrlError> {
        let mut joined = format!("{}{path}", self.0.path().trim_end_matches('/'));
        if let Some(query) = self.0.query() {
            joined = format!("{joined}?{query}");
        }
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(joined).map_err(|_| FeedUrlError::Address)?);
        Uri::from_parts(parts).map(Self).map_err(|_| FeedUrlError::Address)
    }
}

impl FromStr for SocketUrl {
    type Err = FeedUrlError;

    fn from_str(text: &str) -> Result<Self, FeedUrlError> {
        let uri: Uri = text.parse().map_err(|_| FeedUrlError::Address)?;
        let authority = uri.authority().ok_or(FeedUrlError::Address)?;
        let after_user = authority.as_str().rsplit('@').next().unwrap_or_default();
        // `Uri` accepts a malformed port as part of the host. Without this check, the default port would be used
        // silently.
        let ends_in_port = match authority.port_u16() {
            Some(0) => false,
            Some(_) => true,
            None => after_user == authority.host(),
        };
        let known = matches!(uri.scheme_str(), Some("ws" | "wss"));
        if !known || authority.host().is_empty() || !ends_in_port {
            return Err(FeedUrlError::Address);
        }
        Ok(Self(uri))
    }
}

impl fmt::Display for SocketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme_str().unwrap_or_default(), self.0.host().unwrap_or_default())?;
        if let Some(port) = self.0.port_u16() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.0.path().trim_end_matches('/'))
    }
}

impl fmt::Debug for SocketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketUrl({self})")
    }
}

fn demo(rest: &str) -> Result<DemoOptions, FeedUrlError> {
    let query = match rest {
        "" => "",
        _ => rest.strip_prefix('?').ok_or(FeedUrlError::Path("demo:"))?,
    };
    let mut options = DemoOptions::default();
    let [instruments, rate, factor, seed] = values(query, ["instruments", "rate", "speed", "seed"])?;
    if let Some(text) = instruments {
        options.instruments = within(text.parse().ok(), 1..=MAX_INSTRUMENTS)
            .ok_or(FeedUrlError::Value("instruments", "an integer from 1 to 1000000"))?;
    }
    if let Some(text) = rate {
        options.rate =
            rate_of(text).ok_or(FeedUrlError::Value("rate", "a number above 0 with /s or /min, at most 10000000/s"))?;
    }
    if let Some(text) = factor {
        options.speed = speed_of(text)?;
    }
    if let Some(text) = seed {
        options.seed = text.parse().map_err(|_| FeedUrlError::Value("seed", "an integer from 0 to 2^64 - 1"))?;
    }
    Ok(options)
}

fn file(rest: &str) -> Result<FeedUrl, FeedUrlError> {
    let (path, query) = rest.rsplit_once('?').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err(FeedUrlError::NoPath);
    }
    let [speed] = values(query, ["speed"])?;
    let pace = speed.map_or(Ok(Pace::Full), |text| speed_of(text).map(Pace::Times))?;
    Ok(FeedUrl::File { path: path.into(), pace })
}

/// Returns the values of the named options; an unknown or repeated option is an error.
fn values<'a, const N: usize>(query: &'a str, names: [&'static str; N]) -> Result<[Option<&'a str>; N], FeedUrlError> {
    let mut values = [None; N];
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let index = names.iter().position(|known| *known == name);
        let index = index.ok_or_else(|| FeedUrlError::Option(name.to_owned()))?;
        if values[index].replace(value).is_some() {
            return Err(FeedUrlError::Repeated(names[index]));
        }
    }
    Ok(values)
}

/// Parses a rate such as `5000/min` into quotes per second.
fn rate_of(text: &str) -> Option<f64> {
    let (quotes, unit) = text.split_once('/')?;
    let seconds = match unit {
        "s" => 1.0,
        "min" => 60.0,
        _ => return None,
    };
    within(Some(quotes.parse::<f64>().ok()? / seconds), f64::MIN_POSITIVE..=MAX_RATE)
}

fn speed_of(text: &str) -> Result<f64, FeedUrlError> {
    within(text.parse().ok(), f64::MIN_POSITIVE..=MAX_SPEED)
        .ok_or(FeedUrlError::Value("speed", "a number above 0, at most 1000000"))
}

fn within<T: PartialOrd>(value: Option<T>, bounds: std::ops::RangeInclusive<T>) -> Option<T> {
    value.filter(|value| bounds.contains(value))
}

/// The reason why a text is not a feed URL. The error message contains no user info and no option value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedUrlError {
    /// The scheme is unknown.
    Scheme,
    /// The text is not a WebSocket address.
    Address,
    /// The scheme does not allow a path, but a path follows.
    Path(&'static str),
    /// `file:` is not followed by a path.
    NoPath,
    /// The feed has no option with this name.
    Option(String),
    /// The named option is given twice.
    Repeated(&'static str),
    /// The value of the option is invalid. The fields are the name of the option and a description of valid values.
    Value(&'static str, &'static str),
}

impl fmt::Display for FeedUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str(
                "a feed is one of demo:, ws://HOST, wss://HOST, partner+ws://HOST, partner+wss://HOST, stdin: and \
                 file:PATH",
            ),
            Self::Address => {
                f.write_str("the feed address must be ws://HOST[:PORT][/PATH] or wss://HOST[:PORT][/PATH]")
            }
            Self::Path("stdin:") => f.write_str("stdin: accepts no path and no options"),
            Self::Path(scheme) => write!(f, "{scheme} accepts only options, for example demo:?instruments=10"),
            Self::NoPath => f.write_str("file: must be followed by a path, for example file:ticks.ndjson"),
            Self::Option(name) => write!(f, "unknown feed option {name:?}"),
            Self::Repeated(name) => write!(f, "the feed option {name} is given twice"),
            Self::Value(name, expected) => write!(f, "the feed option {name} must be {expected}"),
        }
    }
}

impl std::error::Error for FeedUrlError {}

#[cfg(test)]
mod tests;
