//! Where a feed comes from: the texts of `--feed`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::http::uri::PathAndQuery;

use super::demo::DemoOptions;

/// The most instruments a demo has: ten times the default limit of the server, to try that limit.
pub const MAX_INSTRUMENTS: u32 = 1_000_000;
/// The most events a second a demo sends: more than a core takes in.
pub const MAX_RATE: f64 = 10_000_000.0;
/// The most a feed's clock is sped up: a week in less than a second.
pub const MAX_SPEED: f64 = 1_000_000.0;

/// A feed, parsed and within its bounds.
///
/// `Display` and `Debug` leave out user info and queries, which may hold secrets.
///
/// ```
/// use candle_server::feed::url::FeedUrl;
///
/// let feed: FeedUrl = "wss://user:secret@example.com/quotes?token=secret".parse().unwrap();
/// assert_eq!(feed.to_string(), "wss://example.com/quotes");
///
/// let error = "nonsense".parse::<FeedUrl>().unwrap_err();
/// assert!(error.to_string().starts_with("a feed is one of demo:, ws://"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum FeedUrl {
    /// `demo:[?instruments=10&rate=5000/min&speed=50&seed=1]`: the built-in stream.
    Demo(DemoOptions),
    /// `ws://` or `wss://`: one WebSocket of quotes.
    WebSocket(SocketUrl),
    /// `partner+ws://` or `partner+wss://`: two WebSockets under one address.
    Partner {
        /// The stream of `ADD` and `DELETE`, at `/instruments`.
        instruments: SocketUrl,
        /// The stream of `QUOTE`, at `/quotes`.
        quotes: SocketUrl,
    },
    /// `stdin:`: one message a line.
    Stdin,
    /// `file:PATH[?speed=..]`: one message a line.
    File {
        /// The file, as it was written.
        path: PathBuf,
        /// How fast it is replayed.
        pace: Pace,
    },
}

/// How fast a file is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as it can be read.
    Full,
    /// So many seconds of its own time in a second of wall time; above zero, at most [`MAX_SPEED`].
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
    /// Whether it is connected to, and so can be connected to anew.
    pub const fn is_connection(&self) -> bool {
        matches!(self, Self::WebSocket(_) | Self::Partner { .. })
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
    /// The whole address, secrets included: for the handshake and nothing else.
    pub const fn uri(&self) -> &Uri {
        &self.0
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// The port, by default 80, or 443 with TLS.
    pub fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.0.scheme_str() == Some("wss") { 443 } else { 80 })
    }

    /// The address with `path` put behind its own path, the query kept.
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
        // `Uri` takes a port for a port only if it is one; anything else would silently become the default.
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
    let [count, rate, pace, seed] = values(query, ["instruments", "rate", "speed", "seed"])?;
    if let Some(text) = count {
        options.instruments = within(text.parse().ok(), 1..=MAX_INSTRUMENTS)
            .ok_or(FeedUrlError::Value("instruments", "a number from 1 to 1000000"))?;
    }
    if let Some(text) = rate {
        options.rate =
            rate_of(text).ok_or(FeedUrlError::Value("rate", "a number above 0 with /s or /min, at most 10000000/s"))?;
    }
    if let Some(text) = pace {
        options.speed = speed_of(text)?;
    }
    if let Some(text) = seed {
        options.seed = text.parse().map_err(|_| FeedUrlError::Value("seed", "a number of 64 bits"))?;
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

/// The values of the named options, each at most once and no others.
fn values<'a, const N: usize>(query: &'a str, names: [&'static str; N]) -> Result<[Option<&'a str>; N], FeedUrlError> {
    let mut values = [None; N];
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let place = names.iter().position(|known| *known == name);
        let place = place.ok_or_else(|| FeedUrlError::Option(name.to_owned()))?;
        if values[place].replace(value).is_some() {
            return Err(FeedUrlError::Repeated(names[place]));
        }
    }
    Ok(values)
}

fn rate_of(text: &str) -> Option<f64> {
    let (events, unit) = text.split_once('/')?;
    let seconds = match unit {
        "s" => 1.0,
        "min" => 60.0,
        _ => return None,
    };
    within(Some(events.parse::<f64>().ok()? / seconds), f64::MIN_POSITIVE..=MAX_RATE)
}

fn speed_of(text: &str) -> Result<f64, FeedUrlError> {
    within(text.parse().ok(), f64::MIN_POSITIVE..=MAX_SPEED)
        .ok_or(FeedUrlError::Value("speed", "a number above 0, at most 1000000"))
}

fn within<T: PartialOrd>(value: Option<T>, bounds: std::ops::RangeInclusive<T>) -> Option<T> {
    value.filter(|value| bounds.contains(value))
}

/// Why a text names no feed. Its line never repeats user info or the value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedUrlError {
    /// No known scheme.
    Scheme,
    /// Not the address of a WebSocket.
    Address,
    /// A path where none belongs, behind this scheme.
    Path(&'static str),
    /// `file:` without a path.
    NoPath,
    /// An option that the feed does not have.
    Option(String),
    /// An option that comes twice.
    Repeated(&'static str),
    /// An option whose value is not what its second part says.
    Value(&'static str, &'static str),
}

impl fmt::Display for FeedUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str(
                "a feed is one of demo:, ws://HOST, wss://HOST, partner+ws://HOST, partner+wss://HOST, stdin: and \
                 file:PATH",
            ),
            Self::Address => f.write_str("the feed's address must be ws://HOST[:PORT][/PATH] or the same with wss://"),
            Self::Path(scheme) => write!(f, "only options may follow {scheme}, as in demo:?instruments=10"),
            Self::NoPath => f.write_str("file: needs the path of a file, as in file:ticks.ndjson"),
            Self::Option(name) => write!(f, "the feed has no option {name:?}"),
            Self::Repeated(name) => write!(f, "the feed's option {name} is given twice"),
            Self::Value(name, expected) => write!(f, "the feed's option {name} must be {expected}"),
        }
    }
}

impl std::error::Error for FeedUrlError {}

#[cfg(test)]
mod tests;
