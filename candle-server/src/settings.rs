//! Parses the command line and the environment into the settings of all crates.

#[cfg(feature = "nats")]
mod cluster;
mod command;
mod feed;
mod health_url;
mod http;
#[cfg(feature = "store")]
mod store;
mod value;

#[cfg(feature = "nats")]
pub use cluster::ClusterSettings;
pub use command::Command;
pub use health_url::HealthUrl;
pub use http::HttpSettings;
#[cfg(feature = "store")]
pub use store::{StoreCommand, StoreSettings, SyncChoice};

use std::net::SocketAddr;
use std::time::Duration;

use candle_core::{Config, Prices, Rules};
use candle_engine::clock::ClockMode;
use candle_engine::feeds::Feeds;
use candle_engine::feeds::failover::FailoverConfig;
use candle_engine::feeds::health::SilenceTimeout;
use candle_feed::url::FeedUrl;
use candle_http::api::{DEFAULT_STREAM_LIMIT, Readiness};
use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};

/// The part of `--help` that describes `CANDLE_LOG`, the only setting without a flag.
const LOG_HELP: &str = "Environment:\n  CANDLE_LOG  the level of the log on stderr: error, warn, info, debug, or a filter of \
                        tracing-subscriber [default: info]";

/// Reads quotes from feeds and serves one-minute candles over HTTP.
///
/// ```
/// use candle_server::settings::Settings;
///
/// let settings = Settings::from_args(["candle-server", "--listen", "127.0.0.1:0"]).unwrap();
/// assert_eq!(settings.feeds[0].to_string(), "demo:");
/// ```
#[derive(Clone, Debug, Parser)]
#[command(name = "candle-server", version, about, long_about = None, after_help = LOG_HELP)]
pub struct Settings {
    /// Address and port of the HTTP server; port 0 selects a free port.
    #[arg(long, value_name = "ADDRESS:PORT", env = "CANDLE_LISTEN", default_value = "127.0.0.1:5001")]
    pub listen: SocketAddr,

    /// URL of a feed: one of `demo:[?instruments=10&rate=5000/min&speed=50&seed=1]`, `ws://`, `wss://`,
    /// `partner+ws://`, `partner+wss://`, `stdin:`, `file:PATH[?speed=1]`. Further --feed flags are used for failover,
    /// in order. In the environment, the URLs are separated by white space.
    #[arg(long = "feed", value_name = "URL", env = "CANDLE_FEED", default_value = "demo:", hide_env_values = true)]
    feed_texts: Vec<String>,

    /// The parsed feeds; empty for a subcommand or a read node.
    #[arg(skip)]
    pub feeds: Vec<FeedUrl>,

    /// Clock of the candles: the wall clock, or the time of the feed's quotes. The value auto selects feed for demo:,
    /// file: and stdin:, and wall for all other feeds.
    #[arg(long, value_name = "CLOCK", env = "CANDLE_CLOCK", default_value = "auto")]
    pub clock: ClockChoice,

    /// Time at which the feeds start: auto starts them immediately, manual at the first GET /.
    #[arg(long, value_name = "WHEN", env = "CANDLE_START", default_value = "auto")]
    pub start: StartChoice,

    /// Accept prices of zero and below, for example of spreads, interest rates or electricity.
    #[arg(long, env = "CANDLE_ALLOW_NON_POSITIVE", value_parser = BoolishValueParser::new())]
    pub allow_non_positive: bool,

    /// Time without a quote after which a feed is silent, such as 2s or 500ms. The default is computed from the feed's
    /// recent rate: 2s for a busy feed, up to 30min for a feed with few quotes. By default, standard input is never
    /// silent. Files and demo: are never silent.
    #[arg(long, value_name = "TIME", env = "CANDLE_STALE_AFTER", value_parser = value::duration)]
    pub stale_after: Option<Duration>,

    /// Time for which the active feed may be down, silent or slow before the next --feed is used. The default is long
    /// enough for a reconnect.
    #[arg(long, value_name = "TIME", env = "CANDLE_FAIL_OVER_AFTER", default_value = "2s", value_parser = value::duration)]
    pub fail_over_after: Duration,

    /// Time for which the first --feed must be healthy without interruption before this feed is used again. A longer
    /// time causes fewer switches if the feed fails repeatedly.
    #[arg(long, value_name = "TIME", env = "CANDLE_FAIL_BACK_AFTER", default_value = "30s", value_parser = value::duration)]
    pub fail_back_after: Duration,

    /// Fail /readyz while no feed delivers quotes. By default, /readyz ignores the feeds, so that one dead feed does
    /// not make all replicas unready.
    #[arg(long, env = "CANDLE_READY_REQUIRES_FEED", value_parser = BoolishValueParser::new())]
    pub ready_requires_feed: bool,

    /// Maximum number of listed instruments. Each needs about 2.9 KB of memory.
    #[arg(long, value_name = "NUMBER", env = "CANDLE_MAX_INSTRUMENTS", default_value_t = Config::DEFAULT_MAX_INSTRUMENTS,
          value_parser = value::instruments)]
    pub max_instruments: usize,

    /// The settings of the store, which persists the state in a file.
    #[cfg(feature = "store")]
    #[command(flatten)]
    pub store: StoreSettings,

    /// The settings of the cluster, which replicates the state over NATS JetStream.
    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub cluster: ClusterSettings,

    /// The subcommand, if one is given.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The settings of the HTTP server.
    #[command(flatten)]
    pub http: HttpSettings,

    /// Maximum number of open event streams. Each needs about 15 KB of memory.
    #[arg(long, value_name = "NUMBER", env = "CANDLE_MAX_STREAMS", default_value_t = DEFAULT_STREAM_LIMIT)]
    pub max_streams: usize,
}

/// The values of `--clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClockChoice {
    /// The feed's own time for demo:, file: and stdin:, the wall clock for all other feeds.
    Auto,
    /// The wall clock.
    Wall,
    /// The feed's own time.
    Feed,
}

/// The values of `--start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StartChoice {
    /// Start immediately.
    Auto,
    /// Start at the first `GET /`.
    Manual,
}

impl Settings {
    /// Parses the arguments and the environment of this process.
    ///
    /// # Errors
    /// Returns a [`clap::Error`] if the settings are invalid, and also for `--help` and `--version`.
    pub fn from_process() -> Result<Self, clap::Error> {
        Self::from_matches(&Self::command().try_get_matches()?)
    }

    /// Parses the arguments, the program's name first, and the environment of this process.
    ///
    /// # Errors
    /// Returns a [`clap::Error`] if the settings are invalid, and also for `--help` and `--version`.
    pub fn from_args<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<Self, clap::Error> {
        Self::from_matches(&Self::command().try_get_matches_from(args)?)
    }

    fn from_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::from_arg_matches(matches)?;
        if settings.command.is_some() {
            return Ok(settings);
        }
        let in_environment = matches.value_source("feed_texts") == Some(ValueSource::EnvVariable);
        let given = std::mem::take(&mut settings.feed_texts);
        let texts: Vec<&str> = if in_environment {
            given.iter().flat_map(|text| text.split_whitespace()).collect()
        } else {
            given.iter().map(String::as_str).collect()
        };
        if texts.is_empty() {
            return Err(refused("no feed is given".to_owned()));
        }
        #[cfg(feature = "nats")]
        let texts = {
            let (log, texts) = cluster::split_log(texts).map_err(refused)?;
            settings.cluster.read = log;
            settings.cluster.check(texts.len()).map_err(refused)?;
            texts
        };
        #[cfg(all(feature = "nats", feature = "store"))]
        if settings.cluster.has_log() && settings.store.options().is_some() {
            return Err(refused("--store can't be used with a log: the log persists what a restart needs".to_owned()));
        }
        settings.feeds = texts.into_iter().map(feed::feed).collect::<Result<_, _>>().map_err(refused)?;
        Ok(settings)
    }

    /// Returns the clock mode of the candles.
    pub fn clock_mode(&self) -> ClockMode {
        match self.clock {
            ClockChoice::Wall => ClockMode::Wall,
            ClockChoice::Feed => ClockMode::Feed,
            ClockChoice::Auto => match self.feeds.first() {
                Some(FeedUrl::WebSocket(_) | FeedUrl::Partner { .. }) => ClockMode::Wall,
                // A read node has no feed, because the replicated log sets its clock.
                Some(FeedUrl::Demo(_) | FeedUrl::Stdin | FeedUrl::File { .. }) | None => ClockMode::Feed,
            },
        }
    }

    /// Creates the state of the feeds.
    pub fn monitored_feeds(&self) -> Feeds {
        let silence_timeout = |feed: &FeedUrl| match (feed, self.stale_after) {
            // Standard input may be a replay or a live feed. Only the operator knows which.
            (FeedUrl::Demo(_) | FeedUrl::File { .. }, _) | (FeedUrl::Stdin, None) => SilenceTimeout::Never,
            (_, Some(fixed)) => SilenceTimeout::Fixed(fixed),
            (_, None) => SilenceTimeout::FromRate,
        };
        let feeds = self.feeds.iter().map(|feed| (feed.to_string(), silence_timeout(feed)));
        #[cfg(feature = "nats")]
        let feeds = {
            let timeout = self.stale_after.map_or(SilenceTimeout::FromRate, SilenceTimeout::Fixed);
            feeds.chain(self.cluster.read.iter().map(move |log| (log.to_string(), timeout)))
        };
        let config = FailoverConfig { fail_over_after: self.fail_over_after, fail_back_after: self.fail_back_after };
        Feeds::new(feeds, self.clock_mode(), config)
    }

    /// Returns the condition under which `/readyz` succeeds.
    pub const fn readiness(&self) -> Readiness {
        if self.ready_requires_feed { Readiness::HealthyFeed } else { Readiness::Running }
    }

    /// Returns the settings of the core.
    pub fn core(&self) -> Config {
        let prices = if self.allow_non_positive { Prices::Any } else { Prices::Positive };
        Config::default()
            .with_max_instruments(self.max_instruments)
            .with_rules(Rules::DEFAULT.with_prices(prices))
            .with_reserved_id(candle_http::route::RESERVED_ID)
    }
}

/// Creates the error for a value that clap can't check.
fn refused(message: String) -> clap::Error {
    Settings::command().error(clap::error::ErrorKind::ValueValidation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_silent_only_if_a_timeout_is_set_and_a_file_never_is() {
        let silence_timeout = |words: &[&str]| {
            let settings = Settings::from_args([&["candle-server"], words].concat()).unwrap();
            settings.monitored_feeds().feed_reports(Duration::ZERO)[0].silence_timeout
        };
        assert_eq!(silence_timeout(&["--feed", "stdin:"]), None);
        assert_eq!(silence_timeout(&["--feed", "stdin:", "--stale-after", "3s"]), Some(Duration::from_secs(3)));
        assert_eq!(silence_timeout(&["--feed", "file:Cargo.toml", "--stale-after", "3s"]), None);
        assert!(silence_timeout(&["--feed", "ws://h/"]).is_some());
    }
}
