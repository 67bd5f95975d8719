//! The `candle-server` binary: reads the settings, binds the sockets, handles signals and sets the exit code.

use std::env::VarError;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use candle_http::server::Listeners;
use candle_server::backend::Backend;
use candle_server::commands::health;
use candle_server::serve::serve_backend;
use candle_server::settings::{Command, HealthUrl, Settings};
#[cfg(feature = "store")]
use candle_server::{commands, store::StoreErrorKind};
use clap::error::{ContextKind, ErrorKind};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The reason why the process fails, in one line.
enum Failure {
    /// The settings are not usable, so the server was not started.
    Refused(String),
    /// The server failed while it was running.
    Broken(String),
}

impl Failure {
    /// Returns the exit code. A supervisor should restart the server after 1. After 2, a restart does not help.
    const fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 2,
            Self::Broken(_) => 1,
        }
    }

    fn report(&self) -> ExitCode {
        let (Self::Refused(line) | Self::Broken(line)) = self;
        // A write error is ignored, because the exit code also reports the failure.
        let _ = writeln!(std::io::stderr(), "candle-server: {line}");
        ExitCode::from(self.code())
    }
}

/// The default filter of the log. It excludes the NATS client, because the server itself logs each change of the
/// connection.
const DEFAULT_LOG: &str = if cfg!(feature = "nats") { "info,async_nats=off" } else { "info" };

fn main() -> ExitCode {
    let settings = match Settings::from_process() {
        Ok(settings) => settings,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // A write error is ignored: there is no other way to report a closed stdout.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return Failure::Refused(one_line(&error)).report(),
    };
    let done = match log_filter() {
        Ok(filter) => run(settings, filter),
        Err(error) => Err(Failure::Refused(error)),
    };
    done.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn run(settings: Settings, filter: EnvFilter) -> Result<(), Failure> {
    match &settings.command {
        None => {}
        Some(Command::Health { url }) => return check_health(url),
        #[cfg(feature = "store")]
        Some(Command::Store(command)) => {
            return commands::store::run(command).map_err(|error| match error.kind() {
                StoreErrorKind::Output(_) => Failure::Broken(error.to_string()),
                _ => Failure::Refused(error.to_string()),
            });
        }
    }
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    serve(settings)
}

#[tokio::main(flavor = "current_thread")]
async fn serve(settings: Settings) -> Result<(), Failure> {
    let (listeners, bound) = listeners(&settings).await.map_err(Failure::Refused)?;
    let waiting = shutdown().map_err(|error| Failure::Refused(format!("can't wait for signals: {error}")));
    let mut shutdown = Box::pin(waiting?);
    let backend = tokio::select! {
        backend = Backend::open(&listeners, &settings) => backend.map_err(|error| Failure::Refused(error.to_string()))?,
        () = &mut shutdown => return Ok(()),
    };
    // A closed stdout must not stop the server.
    let _ = writeln!(std::io::stdout(), "candle-server listens on http://{bound}");
    serve_backend(backend, listeners, settings, shutdown).await.map_err(|error| Failure::Broken(error.to_string()))
}

/// Binds the sockets, and returns them with the address of the public socket.
async fn listeners(settings: &Settings) -> Result<(Listeners, SocketAddr), String> {
    let (public, bound) = listen(settings.listen).await?;
    let admin = match settings.http.admin {
        None => None,
        Some(address) => {
            let (admin, bound) = listen(address).await?;
            tracing::info!("operator routes are on http://{bound}");
            Some(admin)
        }
    };
    raise_descriptor_limit(settings.http.limits().connections);
    Ok((Listeners { public, admin }, bound))
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let refused = |error| format!("can't listen on {address}: {error}");
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}

/// Raises the limit on open files to the number that the connections need.
///
/// The usual limit of 1024 exists only for programs that use `select`.
fn raise_descriptor_limit(connections: usize) {
    /// The number of descriptors for feeds, files and runtimes.
    const OTHERS: u64 = 64;
    let wanted = OTHERS.saturating_add(connections as u64);
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => {
            tracing::warn!(limit, wanted, "the limit on open files is below --max-connections; raise it (ulimit -n)");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "can't raise the limit on open files"),
    }
}

/// Returns a future that resolves at SIGTERM or Ctrl-C.
fn shutdown() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Checks if another server is ready.
#[tokio::main(flavor = "current_thread")]
async fn check_health(url: &HealthUrl) -> Result<(), Failure> {
    health::check(url).await.map_err(Failure::Broken)
}

/// Returns the filter of the log: `CANDLE_LOG`, or the default.
fn log_filter() -> Result<EnvFilter, String> {
    let text = match std::env::var("CANDLE_LOG") {
        Ok(text) if !text.is_empty() => text,
        Ok(_) | Err(VarError::NotPresent) => DEFAULT_LOG.to_owned(),
        Err(VarError::NotUnicode(_)) => return Err("CANDLE_LOG is not UTF-8".to_owned()),
    };
    EnvFilter::try_new(text)
        .map_err(|error| format!("CANDLE_LOG is not a log filter such as info or candle_feed=debug: {error}"))
}

/// Returns an error as one line, without clap's usage text.
///
/// An argument that looks like a feed URL is omitted, because a URL may contain secrets.
fn one_line(error: &clap::Error) -> String {
    let is_address = |kind| error.get(kind).is_some_and(|context| context.to_string().contains("://"));
    if is_address(ContextKind::InvalidArg) || is_address(ContextKind::InvalidSubcommand) {
        return "unexpected argument: the URL of a feed must follow --feed".to_owned();
    }
    if is_address(ContextKind::InvalidValue) {
        let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
        return format!("invalid value for '{argument}': the URL of a feed must follow --feed");
    }
    if error.kind() == ErrorKind::MissingRequiredArgument {
        let missing = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
        return format!("missing argument {missing}");
    }
    if error.kind() == ErrorKind::MissingSubcommand {
        let wanted = error.get(ContextKind::ValidSubcommand).map(ToString::to_string).unwrap_or_default();
        return format!("missing subcommand, one of: {wanted}");
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
