//! `candle-server store`: reads a store that no server is using.

use std::io::{self, BufWriter, Write as _};

use candle_store::StoreError;

use crate::settings::StoreCommand;

/// Runs the subcommand.
///
/// # Errors
/// Returns a [`StoreError`] if the store can't be read, or standard output can't be written.
pub fn run(command: &StoreCommand) -> Result<(), StoreError> {
    let mut out = io::stdout().lock();
    match command {
        StoreCommand::Check { path } => {
            let report = candle_store::check(path)?;
            // A write error is ignored, because the exit code also reports the result.
            let _ = writeln!(out, "{}: {report}", path.display());
            Ok(())
        }
        StoreCommand::Export { path } => candle_store::export(path, BufWriter::new(out)),
    }
}
