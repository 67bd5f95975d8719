//! The command line and the environment.

#[cfg(feature = "nats")]
mod cluster;
mod command;
mod http;
#[cfg(feature = "store")]
mod store;

#[cfg(feature = "nats")]
pub use cluster::ClusterSettings;
pub use command::Command;
pub use http::HttpSettings;
#[cfg(feature = "store")]
pub use store::{StoreCommand, StoreSettings, SyncChoice};

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use candle_core::{Config, Prices, Rules};
use candle_http::api::{DEFAULT_STREAM_LIMIT, Readiness};
use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};

use crate::clock::ClockMode;
use crate::feed::source::lines;
use crate::feed::url::{FeedUrl, FeedUrlError};
use crate::feeds::Feeds;
use crate::feeds::failover::FailoverConfig;
use crate::feeds::health::SilenceTimeout;
#[cfg(feature = "nats")]
use candle_cluster::{LogUrl, LogUrlError};

/// What `--help` says of the one setting that is no flag.
const LOGGING: &str = "Environment:\n  CANDLE_LOG  what is logged on stderr: error, warn, info, debug, or a filter of \
                       tracing-subscriber [default: info]";

/// A price stream in, one-minute candles out over HTTP.
///
/// ```
/// use candle_server::settings::Settings;
///
/// let settings = Settings::from_args(["candle-server", "--listen", "127.0.0.1:0"]).unwrap();
/// assert_eq!(settings.feeds[0].to_string(), "demo:");
/// ```
#[derive(Clone, Debug, Parser)]
#[command(name = "candle-server", version, about, long_about = None, after_help = LOGGING)]
pub struct Settings {
    /// Address and port to serve HTTP on; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS:PORT", env = "CANDLE_LISTEN", default_value = "127.0.0.1:5001")]
    pub listen: SocketAddr,

    /// Where quotes come from; given again, the next one to turn to when it is lost (in the environment: separated by
    /// white space). One of `demo:[?instruments=10&rate=5000/min&speed=50&seed=1]`, `ws://`, `wss://`,
    /// `partner+ws://`, `partner+wss://`, `stdin:`, `file:PATH[?speed=1]`.
    #[arg(long = "feed", value_name = "URL", env = "CANDLE_FEED", default_value = "demo:", hide_env_values = true)]
    feed_texts: Vec<String>,

    /// The parsed feeds; empty if a log is read or a subcommand is given.
    #[arg(skip)]
    pub feeds: Vec<FeedUrl>,

    /// The parsed log, if `--feed` names one instead of feeds.
    #[cfg(feature = "nats")]
    #[arg(skip)]
    pub log: Option<LogUrl>,

    /// Whose time candles run on: the wall clock's, the feed's own, or the feed's for demo:, file: and stdin: and the
    /// wall clock's otherwise.
    #[arg(long, value_name = "CLOCK", env = "CANDLE_CLOCK", default_value = "auto")]
    pub clock: ClockChoice,

    /// When to start reading the feed: at once, or at the first GET /.
    #[arg(long, value_name = "WHEN", env = "CANDLE_START", default_value = "auto")]
    pub start: StartChoice,

    /// Take prices of zero and below: spreads, interest rates, power.
    #[arg(long, env = "CANDLE_ALLOW_NON_POSITIVE", value_parser = BoolishValueParser::new())]
    pub allow_non_positive: bool,

    /// How long a feed may bring no quote before it counts as silent, such as 2s or 500ms. By default what its own
    /// recent rate makes unusual: 2s where quotes come thick, up to 30min where they are rare; standard input is never
    /// silent by default, and files never are.
    #[arg(long, value_name = "TIME", env = "CANDLE_STALE_AFTER", value_parser = span)]
    pub stale_after: Option<Duration>,

    /// How long the active feed may be known to be down, silent or slow before the next --feed is turned to: long enough
    /// for a lost connection to be made anew, short enough for nobody to miss much.
    #[arg(long, value_name = "TIME", env = "CANDLE_FAIL_OVER_AFTER", default_value = "2s", value_parser = span)]
    pub fail_over_after: Duration,

    /// How long the first --feed must be well again, without a break, before it is come back to: a feed that comes and
    /// goes is not worth two switches each time.
    #[arg(long, value_name = "TIME", env = "CANDLE_FAIL_BACK_AFTER", default_value = "30s", value_parser = span)]
    pub fail_back_after: Duration,

    /// Let /readyz fail while no feed brings quotes. By default it does not: one dead feed must not take every replica
    /// out.
    #[arg(long, env = "CANDLE_READY_REQUIRES_FEED", value_parser = BoolishValueParser::new())]
    pub ready_requires_feed: bool,

    /// How many instruments may be listed at a time, about 2.3 KB of memory each.
    #[arg(long, value_name = "NUMBER", env = "CANDLE_MAX_INSTRUMENTS", default_value_t = Config::DEFAULT_MAX_INSTRUMENTS,
          value_parser = instruments)]
    pub max_instruments: usize,

    /// How it is kept.
    #[cfg(feature = "store")]
    #[command(flatten)]
    pub store: StoreSettings,

    /// Whether and how a log is written or read.
    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub cluster: ClusterSettings,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How it is served.
    #[command(flatten)]
    pub http: HttpSettings,

    /// How many streams of events may be open at a time, about 15 KB of memory each.
    #[arg(long, value_name = "NUMBER", env = "CANDLE_MAX_STREAMS", default_value_t = DEFAULT_STREAM_LIMIT)]
    pub max_streams: usize,
}

/// Whose time candles run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClockChoice {
    /// The feed's own for what replays or simulates, the wall clock's for sockets.
    Auto,
    /// The wall clock's.
    Wall,
    /// The feed's own.
    Feed,
}

/// When to start reading the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StartChoice {
    /// At once.
    Auto,
    /// At the first `GET /`.
    Manual,
}

impl Settings {
    /// The settings of this process.
    ///
    /// # Errors
    /// [`clap::Error`], which also stands for `--help` and `--version`.
    pub fn from_process() -> Result<Self, clap::Error> {
        Self::from_matches(&Self::command().try_get_matches()?)
    }

    /// The settings that these arguments give, the program's name first.
    ///
    /// # Errors
    /// [`clap::Error`], which also stands for `--help` and `--version`.
    pub fn from_args<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<Self, clap::Error> {
        Self::from_matches(&Self::command().try_get_matches_from(args)?)
    }

    fn from_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::from_arg_matches(matches)?;
        if settings.command.is_some() {
            return Ok(settings);
        }
        let in_environment = matches.value_source("feed_texts") == Some(ValueSource::EnvVariable);
        let texts = settings.feed_texts.iter();
        let sources: Vec<FeedSource> = if in_environment {
            texts.flat_map(|text| text.split_whitespace()).map(source).collect::<Result<_, _>>()?
        } else {
            texts.map(|text| source(text)).collect::<Result<_, _>>()?
        };
        if sources.is_empty() {
            return Err(refused("no feed is given".to_owned()));
        }
        #[cfg(feature = "nats")]
        settings.check_log(&sources)?;
        for source in sources {
            match source {
                FeedSource::Feed(url) => settings.feeds.push(url),
                #[cfg(feature = "nats")]
                FeedSource::Log(url) => settings.log = Some(url),
            }
        }
        Ok(settings)
    }

    /// Refuses settings that exclude each other where a log is read or written.
    #[cfg(feature = "nats")]
    fn check_log(&self, sources: &[FeedSource]) -> Result<(), clap::Error> {
        let reads = sources.iter().any(|source| matches!(source, FeedSource::Log(_)));
        let line = match (reads, &self.cluster.publish) {
            (true, Some(_)) => "a log that is read can't be published: --feed nats:// and --publish exclude each other",
            (true, None) if sources.len() > 1 => "a log is read alone: it has its own fail-over",
            _ => "",
        };
        #[cfg(feature = "store")]
        let line = if (reads || self.cluster.publish.is_some()) && self.store.options().is_some() {
            "the log keeps what a restart must not lose: --store does not go with it"
        } else {
            line
        };
        if line.is_empty() { Ok(()) } else { Err(refused(line.to_owned())) }
    }

    /// The clock that candles run on.
    pub fn clock_mode(&self) -> ClockMode {
        match self.clock {
            ClockChoice::Wall => ClockMode::Wall,
            ClockChoice::Feed => ClockMode::Feed,
            ClockChoice::Auto => match self.feeds.first() {
                Some(FeedUrl::WebSocket(_) | FeedUrl::Partner { .. }) => ClockMode::Wall,
                // Without a feed a log is read, which sets the clock.
                Some(FeedUrl::Demo(_) | FeedUrl::Stdin | FeedUrl::File { .. }) | None => ClockMode::Feed,
            },
        }
    }

    /// The feeds, watched.
    pub fn watched(&self) -> Feeds {
        let stale_after = |feed: &FeedUrl| match (feed, self.stale_after) {
            // A pipe may be played at will, as files are, or be live: only who sets it up knows.
            (FeedUrl::Demo(_) | FeedUrl::File { .. }, _) | (FeedUrl::Stdin, None) => SilenceTimeout::Never,
            (_, Some(fixed)) => SilenceTimeout::Fixed(fixed),
            (_, None) => SilenceTimeout::FromRate,
        };
        let feeds = self.feeds.iter().map(|feed| (feed.to_string(), stale_after(feed)));
        #[cfg(feature = "nats")]
        let feeds = {
            let timeout = self.stale_after.map_or(SilenceTimeout::FromRate, SilenceTimeout::Fixed);
            feeds.chain(self.log.iter().map(move |log| (log.to_string(), timeout)))
        };
        let turns = FailoverConfig { fail_over_after: self.fail_over_after, fail_back_after: self.fail_back_after };
        Feeds::new(feeds, self.clock_mode(), turns)
    }

    /// What the server needs in order to be ready.
    pub const fn readiness(&self) -> Readiness {
        if self.ready_requires_feed { Readiness::HealthyFeed } else { Readiness::Running }
    }

    /// The core's settings.
    pub fn core(&self) -> Config {
        let prices = if self.allow_non_positive { Prices::Any } else { Prices::Positive };
        Config::default().with_max_instruments(self.max_instruments).with_rules(Rules::DEFAULT.with_prices(prices))
    }
}

/// The value of one `--feed`.
enum FeedSource {
    Feed(FeedUrl),
    #[cfg(feature = "nats")]
    Log(LogUrl),
}

/// Parses the value of `--feed` and opens a file once to check it. The error repeats no secret.
fn source(text: &str) -> Result<FeedSource, clap::Error> {
    let invalid = |error: &dyn fmt::Display| refused(format!("invalid value for '--feed <URL>': {error}"));
    #[cfg(feature = "nats")]
    if text.starts_with("nats:") || text.starts_with("tls:") {
        return text.parse().map(FeedSource::Log).map_err(|error: LogUrlError| invalid(&error));
    }
    let feed: FeedUrl = text.parse().map_err(|error: FeedUrlError| invalid(&error))?;
    if let FeedUrl::File { path, .. } = &feed {
        lines::open(path).map_err(|error| refused(format!("can't read the feed {feed}: {error}")))?;
    }
    Ok(FeedSource::Feed(feed))
}

fn refused(message: String) -> clap::Error {
    Settings::command().error(clap::error::ErrorKind::ValueValidation, message)
}

fn instruments(text: &str) -> Result<usize, String> {
    let most = Config::MAX_INSTRUMENTS_LIMIT;
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("a number from 1 to {most} is wanted"))
}

/// The longest time that can be set.
const MAX_SPAN: Duration = Duration::from_hours(24);

/// A time as people write it: `2s`, `500ms`, `1min`.
fn span(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "min" => Some(60.0),
        _ => None,
    };
    let number: Option<f64> = number.parse().ok().filter(|number| *number > 0.0);
    let span = number.zip(seconds).and_then(|(number, unit)| Duration::try_from_secs_f64(number * unit).ok());
    let span = span.filter(|span| !span.is_zero() && *span <= MAX_SPAN);
    span.ok_or_else(|| "a time such as 2s, 500ms or 1min is wanted, at most a day".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_silent_when_it_is_told_so_and_a_file_never_is() {
        let silence_timeout = |words: &[&str]| {
            let settings = Settings::from_args([&["candle-server"], words].concat()).unwrap();
            settings.watched().feed_reports(Duration::ZERO)[0].silence_timeout
        };
        assert_eq!(silence_timeout(&["--feed", "stdin:"]), None);
        assert_eq!(silence_timeout(&["--feed", "stdin:", "--stale-after", "3s"]), Some(Duration::from_secs(3)));
        assert_eq!(silence_timeout(&["--feed", "file:Cargo.toml", "--stale-after", "3s"]), None);
        assert!(silence_timeout(&["--feed", "ws://h/"]).is_some());
    }
}
