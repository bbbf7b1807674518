// SPDX-License-Identifier: MPL-2.0

//! The tracker as a program: logs, signals, sockets.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use gstp2phls::tracker::options::{LogFormat, Options};
use gstp2phls::tracker::server::{Config, Listeners, ServeError, serve};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let options = Options::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let filter = match EnvFilter::try_new(&options.log) {
        Ok(filter) => filter,
        Err(error) => return complain(&format!("--log: {error}")),
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    let config = match options.config() {
        Ok(config) => config,
        Err(error) => return complain(&error),
    };
    let listen = options.listen;
    let served = runtime(options.threads()).map_err(ServeError::from).and_then(|runtime| {
        // As a task, it shares the workers' threads with those that it starts; the main thread would have to
        // wake another one for each connection.
        let server = runtime.spawn(async move { run(&options, config).await });
        runtime.block_on(server).map_err(|error| ServeError::Io(std::io::Error::other(error)))?
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%listen, %error, "cannot serve");
            ExitCode::FAILURE
        }
    }
}

/// A runtime with so many threads for viewers.
fn runtime(threads: usize) -> std::io::Result<Runtime> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(threads).enable_all().build()
}

fn complain(what: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "p2phls-tracker: {what}");
    ExitCode::FAILURE
}

async fn run(options: &Options, config: Config) -> Result<(), ServeError> {
    let shutdown = shutdown_signal()?;
    let viewers = TcpListener::bind(options.listen).await?;
    let operators = match options.operator_listen {
        Some(address) => Some(TcpListener::bind(address).await?),
        None => None,
    };
    // Scripts wait for these lines, so they must not stay in a buffer. If nobody reads them, so be
    // it.
    let mut stdout = std::io::stdout();
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    let mut lines = format!("listening on {scheme}://{}\n", viewers.local_addr()?);
    if let Some(operators) = &operators {
        lines += &format!("operators at http://{}\n", operators.local_addr()?);
    }
    let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
    info!(?config, "listening");
    serve(Listeners { viewers, operators }, config, shutdown).await
}

/// Resolves at SIGINT or SIGTERM.
#[cfg(unix)]
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
