//! The `candle-server` binary: settings, a socket, [`candle_server::serve`], signals.

use std::env::VarError;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use candle_server::Listeners;
use candle_server::health::{self, HealthUrl};
use candle_server::settings::{Command, Settings};
#[cfg(feature = "store")]
use candle_server::store::StoreErrorKind;
use clap::error::{ContextKind, ErrorKind};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Why the process ends otherwise than it was asked to, in one line.
enum Failure {
    /// What it was given cannot work: nothing was started.
    Refused(String),
    /// It worked, and then something broke.
    Broken(String),
}

impl Failure {
    /// What a supervisor can tell them apart by: to start again helps against one of them only.
    const fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 2,
            Self::Broken(_) => 1,
        }
    }

    fn report(&self) -> ExitCode {
        let (Self::Refused(line) | Self::Broken(line)) = self;
        // The exit code says it too.
        let _ = writeln!(std::io::stderr(), "candle-server: {line}");
        ExitCode::from(self.code())
    }
}

/// What an operator should know. A client of a broker tells each of its connections and tries besides, of which the server
/// says in a line of its own what matters.
const USUALLY_SHOWN: &str = if cfg!(feature = "nats") { "info,async_nats=off" } else { "info" };

fn main() -> ExitCode {
    let settings = match Settings::from_process() {
        Ok(settings) => settings,
        Err(asked) if matches!(asked.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // Nobody is left to tell where even this can't be written.
            let _ = asked.print();
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
        Some(Command::Health { url }) => return ask(url),
        #[cfg(feature = "store")]
        Some(Command::Store(asked)) => {
            return asked.run().map_err(|error| match error.kind() {
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
    let opened = tokio::select! {
        opened = candle_server::open(&listeners, &settings) => opened.map_err(|error| Failure::Refused(error.to_string()))?,
        () = &mut shutdown => return Ok(()),
    };
    // A reader that is gone must not stop the server.
    let _ = writeln!(std::io::stdout(), "candle-server listens on http://{bound}");
    opened.serve(listeners, settings, shutdown).await.map_err(|error| Failure::Broken(error.to_string()))
}

/// The sockets to serve, and the address of the public one.
async fn listeners(settings: &Settings) -> Result<(Listeners, SocketAddr), String> {
    let (public, bound) = listen(settings.listen).await?;
    let admin = match settings.http.admin {
        None => None,
        Some(address) => {
            let (admin, bound) = listen(address).await?;
            tracing::info!("operators ask http://{bound}");
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

/// Asks for as many descriptors as the connections need: the usual limit of 1024 is meant for programs that `select`.
fn raise_descriptor_limit(connections: usize) {
    /// For feeds, files and runtimes.
    const OTHERS: u64 = 64;
    let wanted = OTHERS.saturating_add(connections as u64);
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => {
            tracing::warn!(limit, wanted, "this process may not open as many connections as it would serve");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "can't raise the limit on open files"),
    }
}

/// Ready at SIGTERM or Ctrl-C.
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

/// Asks another server whether it is well.
#[tokio::main(flavor = "current_thread")]
async fn ask(url: &HealthUrl) -> Result<(), Failure> {
    health::ask(url).await.map_err(Failure::Broken)
}

/// What the log shows: `CANDLE_LOG`, or where there is none, what an operator should know.
fn log_filter() -> Result<EnvFilter, String> {
    let text = match std::env::var("CANDLE_LOG") {
        Ok(text) if !text.is_empty() => text,
        Ok(_) | Err(VarError::NotPresent) => USUALLY_SHOWN.to_owned(),
        Err(VarError::NotUnicode(_)) => return Err("CANDLE_LOG is not UTF-8".to_owned()),
    };
    EnvFilter::try_new(text)
        .map_err(|error| format!("CANDLE_LOG is no log filter, as info or candle_server=debug: {error}"))
}

/// What is wrong, without the usage that clap puts behind it. What was given is left out where it may be the address of
/// a feed, with its secrets, that has come to stand in the wrong place.
fn one_line(error: &clap::Error) -> String {
    let is_address = |kind| error.get(kind).is_some_and(|context| context.to_string().contains("://"));
    if is_address(ContextKind::InvalidArg) || is_address(ContextKind::InvalidSubcommand) {
        return "unexpected argument: the address of a feed belongs behind --feed".to_owned();
    }
    if is_address(ContextKind::InvalidValue) {
        let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
        return format!("invalid value for '{argument}': the address of a feed belongs behind --feed");
    }
    if error.kind() == ErrorKind::MissingRequiredArgument {
        let missing = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
        return format!("what was given needs besides: {missing}");
    }
    if error.kind() == ErrorKind::MissingSubcommand {
        let wanted = error.get(ContextKind::ValidSubcommand).map(ToString::to_string).unwrap_or_default();
        return format!("say what to do, one of: {wanted}");
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
