// SPDX-License-Identifier: MPL-2.0

//! The tracker as a program: settings, logs, signals.

use std::net::SocketAddr;
use std::process::Stdio;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::*;

/// A tracker in a process of its own; ended when dropped.
pub struct Program {
    pub process: Child,
    pub address: SocketAddr,
}

impl Program {
    pub async fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_p2phls-tracker"))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = patiently(lines.next_line()).await.unwrap().unwrap();
        let url = line.strip_prefix("listening on ws://").unwrap();
        let address = url.trim_end_matches('/').parse().unwrap();
        Self { process, address }
    }

    pub async fn connect(&self) -> Socket {
        Socket(patiently(tokio_tungstenite::connect_async(format!("ws://{}", self.address))).await.unwrap().0)
    }
}

#[tokio::test]
async fn settings_come_from_everywhere_logs_are_json_and_sigterm_is_a_goodbye() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "log-format = \"json\"\nlog = \"debug\"\ninterval = 77\nlinks = 3\n")
        .unwrap();
    let arguments = ["--config", file.path().to_str().unwrap(), "--links", "9"];
    let environment = [("P2PHLS_TRACKER_INTERVAL", "500"), ("P2PHLS_TRACKER_LINKS", "5")];
    let mut program = Program::start(&arguments, &environment).await;
    let mut viewer = program.connect().await;
    viewer.announce(HASH, ALICE, &[]).await;

    let id = program.process.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let close = patiently(viewer.0.next()).await;
    assert!(matches!(close, Some(Ok(Message::Close(Some(frame)))) if frame.code == CloseCode::Away));
    drop(viewer);
    assert!(patiently(program.process.wait()).await.unwrap().success());

    let mut logs = String::new();
    patiently(program.process.stderr.take().unwrap().read_to_string(&mut logs)).await.unwrap();
    let lines: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let said = |message: &str| lines.iter().find(|line| line["message"] == message).expect(message);
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()), "{logs}");
    let config = said("listening")["config"].as_str().unwrap();
    assert!(config.contains("interval: 500s") && config.contains("target: 9,"), "{config}");
    said("stopping");
}
