//! Whether and how a log is written or read.

use std::path::PathBuf;

use clap::Args;

use crate::nats::{Access, Identity, Keeping, LogUrl};

/// Whether and how a log is written or read.
#[derive(Args, Clone, Debug)]
pub struct NatsSettings {
    /// A log to write what the feed brings to, for any number of servers to read: `nats://HOST[:PORT][,HOST[:PORT]]/NAME`.
    /// Of several servers with the same one writes, and another takes over where it is gone.
    #[arg(long, value_name = "URL", env = "CANDLE_PUBLISH", hide_env_values = true, value_parser = log_url)]
    pub publish: Option<LogUrl>,

    /// How many copies of the log the cluster keeps; what was written survives the loss of fewer than half of them.
    #[arg(long, value_name = "NUMBER", env = "CANDLE_NATS_REPLICAS", default_value_t = 3,
          value_parser = clap::value_parser!(u8).range(1..=5))]
    nats_replicas: u8,

    /// The most bytes of the log, which keeps 31 minutes: about 20 bytes a quote, for each copy.
    #[arg(long, value_name = "BYTES", env = "CANDLE_NATS_MAX_BYTES", default_value_t = 16 << 30,
          value_parser = clap::value_parser!(u64).range(1 << 20..))]
    nats_max_bytes: u64,

    /// A file of credentials for the cluster.
    #[arg(long, value_name = "PATH", env = "CANDLE_NATS_CREDENTIALS")]
    nats_credentials: Option<PathBuf>,

    /// Certificates of authorities to trust besides the system's, for `tls://`.
    #[arg(long, value_name = "PATH", env = "CANDLE_NATS_CA")]
    nats_ca: Option<PathBuf>,

    /// This server's certificate, where the cluster asks for one; together with `--nats-key`.
    #[arg(long, value_name = "PATH", env = "CANDLE_NATS_CERTIFICATE", requires = "nats_key")]
    nats_certificate: Option<PathBuf>,

    /// The key of that certificate.
    #[arg(long, value_name = "PATH", env = "CANDLE_NATS_KEY", requires = "nats_certificate")]
    nats_key: Option<PathBuf>,
}

impl NatsSettings {
    /// How the log's streams are made.
    pub fn keeping(&self) -> Keeping {
        Keeping { replicas: self.nats_replicas.into(), max_bytes: self.nats_max_bytes }
    }

    /// How to be let in.
    pub fn access(&self) -> Access {
        let identity = self.nats_certificate.clone().zip(self.nats_key.clone());
        Access {
            credentials: self.nats_credentials.clone(),
            authorities: self.nats_ca.clone(),
            identity: identity.map(|(certificate, key)| Identity { certificate, key }),
        }
    }
}

/// Says what is wrong without what was given, which may hold secrets.
fn log_url(text: &str) -> Result<LogUrl, String> {
    text.parse().map_err(|error: crate::nats::LogUrlError| error.to_string())
}
