//! The subcommands of the command line.

use clap::Subcommand;

use super::health_url::HealthUrl;
#[cfg(feature = "store")]
use super::store::StoreCommand;

/// A subcommand, which runs instead of the server.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Checks if a running server is ready. The exit code is 0 if the server is ready.
    Health {
        /// Address of the server: `http://HOST[:PORT][/PATH]`. The default path is `/readyz`.
        url: HealthUrl,
    },
    /// Reads a store that no server is using.
    #[cfg(feature = "store")]
    #[command(subcommand, arg_required_else_help = false)]
    Store(StoreCommand),
}
