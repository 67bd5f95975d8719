//! The settings of a cluster.

use std::path::PathBuf;

use candle_cluster::{Authentication, ClientCertificate, ClusterConfig, LogUrl, LogUrlError, StreamOptions};
use candle_core::Config;
use clap::Args;

/// The settings of a cluster.
#[derive(Args, Clone, Debug)]
pub struct ClusterSettings {
    /// Publish the quotes of the feeds to this log, which any number of servers can read:
    /// `nats://HOST[:PORT][,HOST[:PORT]]/NAME`. If several servers publish to the same log, only one of them writes.
    /// When this server fails, another server continues.
    #[arg(long, value_name = "URL", env = "CANDLE_PUBLISH", hide_env_values = true, value_parser = log_url)]
    pub publish: Option<LogUrl>,

    /// The log to read instead of feeds. The log is a `--feed` with the scheme `nats:` or `tls:`.
    #[arg(skip)]
    pub read: Option<LogUrl>,

    /// Number of copies of the log in the cluster. The log survives the loss of fewer than half of the copies.
    #[arg(long, value_name = "NUMBER", env = "CANDLE_NATS_REPLICAS", default_value_t = 3,
          value_parser = clap::value_parser!(u8).range(1..=5))]
    nats_replicas: u8,

    /// Maximum size of each copy of the log, in bytes. The log contains 31 minutes, with about 20 bytes per quote.
    #[arg(long, value_name = "BYTES", env = "CANDLE_NATS_MAX_BYTES", default_value_t = 16 << 30,
          value_parser = clap::value_parser!(u64).range(1 << 20..))]
    nats_max_bytes: u64,

    /// File with the credentials for the broker (`.creds`).
    #[arg(long, value_name = "PATH", env = "CANDLE_NATS_CREDENTIALS")]
    nats_credentials: Option<PathBuf>,

    /// File with certificates of authorities that `tls://` trusts in addition to the authorities of the system.
    #[arg(long, value_name = "PATH", env = "CANDLE_NATS_CA")]
    nats_ca: Option<PathBuf>,

    /// File with the certificate of this server, for brokers that require a client certificate. Needs `--nats-key`.
    #[arg(long, value_name = "PATH", env = "CANDLE_NATS_CERTIFICATE", requires = "nats_key")]
    nats_certificate: Option<PathBuf>,

    /// File with the private key of `--nats-certificate`.
    #[arg(long, value_name = "PATH", env = "CANDLE_NATS_KEY", requires = "nats_certificate")]
    nats_key: Option<PathBuf>,
}

impl ClusterSettings {
    /// Returns the options of the streams that a gateway creates.
    pub fn stream_options(&self) -> StreamOptions {
        StreamOptions { replicas: self.nats_replicas.into(), max_bytes: self.nats_max_bytes }
    }

    /// Returns the configuration of a node that uses the log `url`. `core` contains the settings of the aggregator.
    pub fn config(&self, url: &LogUrl, core: Config) -> ClusterConfig {
        let certificate = self.nats_certificate.clone().zip(self.nats_key.clone());
        let authentication = Authentication {
            credentials: self.nats_credentials.clone(),
            authorities: self.nats_ca.clone(),
            certificate: certificate.map(|(certificate, key)| ClientCertificate { certificate, key }),
        };
        ClusterConfig { url: url.clone(), authentication, core }
    }
}

/// Finds the log among the values of `--feed`. Returns the log and the remaining values.
pub(super) fn split_log(texts: Vec<&str>) -> Result<(Option<LogUrl>, Vec<&str>), String> {
    let is_log = |text: &&str| text.starts_with("nats:") || text.starts_with("tls:");
    let (logs, feeds): (Vec<&str>, Vec<&str>) = texts.into_iter().partition(is_log);
    let mut logs = logs
        .into_iter()
        .map(|text| text.parse().map_err(|error: LogUrlError| format!("invalid value for '--feed <URL>': {error}")));
    let log = logs.next().transpose()?;
    match logs.next().transpose()? {
        None => Ok((log, feeds)),
        Some(_) => Err(READ_ALONE.to_owned()),
    }
}

const READ_ALONE: &str = "a log can't be combined with another --feed, because the log has its own failover";

impl ClusterSettings {
    /// Returns an error if a log is read together with feeds, or is read and published.
    ///
    /// `feeds` is the number of feeds besides the log.
    pub(super) fn check(&self, feeds: usize) -> Result<(), String> {
        match (&self.read, &self.publish) {
            (Some(_), Some(_)) => {
                Err("a log that is read can't be published: --feed nats:// and --publish exclude each other".to_owned())
            }
            (Some(_), None) if feeds > 0 => Err(READ_ALONE.to_owned()),
            _ => Ok(()),
        }
    }

    /// Returns true if a log is read or published.
    #[cfg(feature = "store")]
    pub(super) const fn has_log(&self) -> bool {
        self.read.is_some() || self.publish.is_some()
    }
}

/// Parses the address of a log. The error does not repeat the text, which can contain a password.
fn log_url(text: &str) -> Result<LogUrl, String> {
    text.parse().map_err(|error: LogUrlError| error.to_string())
}
