//! What can be done instead of serving.

use clap::Subcommand;

#[cfg(feature = "store")]
use super::StoreCommand;
use crate::health::HealthUrl;

/// What can be done instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Asks a running server whether it is ready; the exit code is 0 if it is.
    Health {
        /// `http://HOST[:PORT][/PATH]`, by default with the path `/readyz`.
        url: HealthUrl,
    },
    /// Looks into a store that no server is using.
    #[cfg(feature = "store")]
    #[command(subcommand, arg_required_else_help = false)]
    Store(StoreCommand),
}
