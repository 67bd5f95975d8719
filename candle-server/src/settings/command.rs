//! The subcommands.

use clap::Subcommand;

use super::health_url::HealthUrl;
#[cfg(feature = "store")]
use super::store::StoreCommand;

/// A subcommand, which runs in place of the server.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Checks if a running server is ready; the exit code is 0 if it is.
    Health {
        /// `http://HOST[:PORT][/PATH]`, by default with the path `/readyz`.
        url: HealthUrl,
    },
    /// Reads a store that no server is using.
    #[cfg(feature = "store")]
    #[command(subcommand, arg_required_else_help = false)]
    Store(StoreCommand),
}
