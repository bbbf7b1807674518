// SPDX-License-Identifier: MPL-2.0

//! The tracker's own program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A tracker in a process of its own; ended when dropped.
pub struct Tracker {
    process: Child,
    settings: Vec<String>,
    pub url: String,
}

fn spawn(listen: &str, settings: &[String]) -> (Child, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_p2phls-tracker"))
        .args(["--listen", listen])
        .args(settings)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tracker starts");
    let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
    let url = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line[line.find("ws://")?..].trim().to_owned()))
        .expect("it says where it listens");
    (process, url)
}

impl Tracker {
    pub fn start() -> Self {
        Self::with(&[])
    }

    pub fn with(settings: &[&str]) -> Self {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let (process, url) = spawn("127.0.0.1:0", &settings);
        Self { process, settings, url }
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("the tracker is ours");
        self.process.wait().expect("it has been started");
    }

    /// The same again, at the same address, knowing nothing.
    pub fn again(&mut self) {
        self.process = spawn(self.address(), &self.settings).0;
    }

    /// What it says of itself: `ok`, `degraded` or `stopping`.
    pub fn health(&self) -> String {
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: tracker\r\n\r\n").expect("it takes a request");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("it replies");
        reply.lines().last().unwrap_or_default().to_owned()
    }

    fn address(&self) -> &str {
        self.url.trim_start_matches("ws://").trim_end_matches('/')
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
