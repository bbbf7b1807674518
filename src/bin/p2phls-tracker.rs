// SPDX-License-Identifier: MPL-2.0

//! The tracker as a server: flags, logs, signals.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use gstp2phls::tracker::server::{Config, serve};
use gstp2phls::tracker::swarms::Settings;
use tokio::net::TcpListener;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

/// Introduces the viewers of a stream to each other, by the WebTorrent WebSocket protocol.
///
/// Viewers connect to any path; /stats.json and /health are for operators.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "P2PHLS_TRACKER_LISTEN", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8000")]
    listen: SocketAddr,

    /// Seconds between announces of a viewer that has enough links.
    #[arg(long, env = "P2PHLS_TRACKER_INTERVAL", value_name = "SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(5..=3600))]
    interval: u64,

    /// Seconds between announces of a viewer that could have more links.
    #[arg(long, env = "P2PHLS_TRACKER_SHORT_INTERVAL", value_name = "SECONDS", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(5..=3600))]
    short_interval: u64,

    /// Most connections at a time; further ones are closed at once.
    #[arg(long, env = "P2PHLS_TRACKER_MAX_CONNECTIONS", value_name = "NUMBER", default_value_t = 100_000)]
    max_connections: usize,

    /// Take viewers' addresses from X-Forwarded-For. Only behind a proxy that sets it.
    #[arg(long, env = "P2PHLS_TRACKER_BEHIND_PROXY")]
    behind_proxy: bool,

    /// What to log, as in `info` or `gstp2phls=debug`.
    #[arg(long, env = "P2PHLS_TRACKER_LOG", value_name = "FILTER", default_value = "info")]
    log: EnvFilter,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let config = Config {
        swarms: Settings {
            interval: Duration::from_secs(flags.interval),
            short_interval: Duration::from_secs(flags.short_interval),
            ..Settings::default()
        },
        behind_proxy: flags.behind_proxy,
        max_connections: flags.max_connections,
    };
    tracing_subscriber::fmt()
        .with_env_filter(flags.log)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(flags.listen, config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(listen = %flags.listen, %error, "cannot serve");
            ExitCode::FAILURE
        }
    }
}

async fn run(listen: SocketAddr, config: Config) -> std::io::Result<()> {
    let shutdown = shutdown_signal()?;
    let listener = TcpListener::bind(listen).await?;
    // Scripts wait for this line, so it must not stay in a buffer. If nobody reads it, so be it.
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "listening on ws://{}", listener.local_addr()?).and_then(|()| stdout.flush());
    info!(?config, "listening");
    serve(listener, config, shutdown).await
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
