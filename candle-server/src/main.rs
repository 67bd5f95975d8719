//! The `candle-server` binary: settings, a socket, [`candle_server::serve`], signals.

use std::io::Write as _;
use std::process::ExitCode;

use candle_server::settings::Settings;
use clap::error::ErrorKind;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code for a configuration that cannot work.
const BAD_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let settings = match Settings::from_process() {
        Ok(settings) => settings,
        Err(asked) if matches!(asked.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // Nobody is left to tell where even this can't be written.
            let _ = asked.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(&first_line(&error)),
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("CANDLE_LOG").unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

#[tokio::main]
async fn run(settings: Settings) -> Result<(), String> {
    let address = settings.listen;
    let listener = TcpListener::bind(address).await.map_err(|error| format!("can't listen on {address}: {error}"))?;
    let bound = listener.local_addr().map_err(|error| format!("can't listen on {address}: {error}"))?;
    let shutdown = shutdown().map_err(|error| format!("can't wait for signals: {error}"))?;
    // A reader that is gone must not stop the server.
    let _ = writeln!(std::io::stdout(), "candle-server listens on http://{bound}");
    candle_server::serve(listener, settings, shutdown).await.map_err(|error| error.to_string())
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

fn refuse(error: &str) -> ExitCode {
    // The exit code says it too.
    let _ = writeln!(std::io::stderr(), "candle-server: {error}");
    ExitCode::from(BAD_CONFIGURATION)
}

/// What is wrong, without the usage that clap puts behind it.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
