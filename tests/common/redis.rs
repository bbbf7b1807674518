// SPDX-License-Identifier: MPL-2.0

//! A real Redis for a test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A Redis of its own on a free port; ended when dropped.
pub struct Redis {
    process: Child,
    pub port: u16,
    directory: tempfile::TempDir,
    /// Whether it is a part of a Redis Cluster.
    pub sharded: bool,
}

fn free_port() -> u16 {
    // A Redis Cluster also takes the port 10,000 above.
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

fn spawn(port: u16, directory: &Path, sharded: bool) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]).arg(port.to_string());
    command.arg("--dir").arg(directory);
    if sharded {
        command.args(["--cluster-enabled", "yes"]);
    }
    command.stdout(Stdio::null()).spawn().expect("Debian's redis-server is installed")
}

impl Redis {
    pub fn start() -> Self {
        Self::with(false)
    }

    pub fn start_sharded() -> Self {
        Self::with(true)
    }

    fn with(sharded: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let process = spawn(port, directory.path(), sharded);
        let redis = Self { process, port, directory, sharded };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !redis.cli(&["ping"]).contains("PONG") {
            assert!(Instant::now() < deadline, "Redis does not answer");
        }
        redis
    }

    pub fn cli(&self, args: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The same again, with nothing in it.
    pub fn again(&mut self) {
        self.process = spawn(self.port, self.directory.path(), self.sharded);
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
