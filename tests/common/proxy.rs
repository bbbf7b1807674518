// SPDX-License-Identifier: MPL-2.0

//! A forward proxy on loopback: requests with whole addresses, and tunnels (CONNECT).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

pub struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Lets through whoever sends this `login` as Proxy-Authorization; None: everybody.
    pub fn start(login: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = asked.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let noted = noted.clone();
                // Whatever goes wrong ends the connection, as it would with any proxy.
                thread::spawn(move || pass(client, login, &noted));
            }
        });
        Self { address, asked }
    }

    /// `http://user@host:port`, or without a user.
    pub fn url(&self, user: &str) -> String {
        let at = if user.is_empty() { "" } else { "@" };
        format!("http://{user}{at}{}", self.address)
    }

    /// Method and target of the requests that it has passed on.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn pass(mut client: TcpStream, login: Option<&str>, asked: &Mutex<Vec<String>>) -> Option<()> {
    let head = head(&mut client)?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (mine, others): (Vec<&str>, Vec<&str>) = lines
        .filter(|line| !line.is_empty())
        .partition(|line| line.to_ascii_lowercase().starts_with("proxy-authorization:"));
    let given = mine.first().and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
    if login.is_some() && given != login {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\
                       Proxy-Authenticate: Basic realm=\"test\"\r\n\r\n";
        return client.write_all(refusal.as_bytes()).ok();
    }
    asked.lock().unwrap().push(format!("{method} {target}"));
    let server = if method == "CONNECT" {
        let server = TcpStream::connect(target).ok()?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
        server
    } else {
        let (host, path) = target.strip_prefix("http://")?.split_once('/')?;
        let mut server = TcpStream::connect(host).ok()?;
        let others: String = others.iter().map(|line| format!("{line}\r\n")).collect();
        write!(server, "{method} /{path} HTTP/1.1\r\nConnection: close\r\n{others}\r\n").ok()?;
        server
    };
    let (from_client, to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || copy(from_client, to_server));
    copy(server, client);
    Some(())
}

/// Passes on what one says until it says no more.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// A request up to its body.
fn head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}
