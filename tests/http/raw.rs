// SPDX-License-Identifier: MPL-2.0

//! A server that writes just the bytes it is told to, right or wrong.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// A request: its path and the first byte that it asks for, if it has a Range header.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub path: String,
    pub from: Option<usize>,
    /// The lines of its headers.
    head: Vec<String>,
}

impl Asked {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.iter().filter_map(|line| line.split_once(':'));
        pairs.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

pub struct Raw {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Raw {
    /// Answers each request with the bytes that `answer` gives and closes; None keeps silent.
    pub fn serve(answer: impl Fn(&Asked) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let noted = asked.clone();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let Some(path) = lines.next().and_then(|l| Some(l.split(' ').nth(1)?.to_owned())) else {
                    continue;
                };
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let from = head.iter().find_map(|line| {
                    let range = line.to_ascii_lowercase();
                    range.strip_prefix("range: bytes=")?.split('-').next()?.parse().ok()
                });
                let request = Asked { path, from, head };
                noted.lock().unwrap().push(request.clone());
                match answer(&request) {
                    // The client may have gone.
                    Some(bytes) => drop(stream.write_all(&bytes)),
                    None => silent.push(stream),
                }
            }
        });
        Self { address, asked }
    }

    pub fn url(&self, path: &str) -> url::Url {
        format!("http://{}/{path}", self.address).parse().expect("a URL")
    }

    pub fn asked(&self, path: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path == path).cloned().collect()
    }
}

/// A response with these header lines and this body, which may be another than they promise.
pub fn response(status: &str, headers: &str, body: &[u8]) -> Option<Vec<u8>> {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
    Some([head.as_bytes(), body].concat())
}

/// The whole of `body`, whatever range was asked for.
pub fn whole(body: &[u8]) -> Option<Vec<u8>> {
    response("200 OK", &format!("Content-Length: {}\r\n", body.len()), body)
}

/// `body` from `from` on, of which only `sent` bytes come before the connection closes.
pub fn part(body: &[u8], from: usize, sent: usize) -> Option<Vec<u8>> {
    let (len, rest) = (body.len(), &body[from..]);
    let headers =
        format!("Content-Length: {}\r\nContent-Range: bytes {from}-{}/{len}\r\n", rest.len(), len - 1);
    response("206 Partial Content", &headers, &rest[..sent.min(rest.len())])
}
