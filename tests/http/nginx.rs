// SPDX-License-Identifier: MPL-2.0

//! A real nginx on loopback, and what it says of the requests that it had.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub const PLAYLIST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n\
                            #EXTINF:4,\nseg.ts\n#EXTINF:4,\nseg.ts\n#EXTINF:4,\nseg.ts\n#EXT-X-ENDLIST\n";
pub const SEGMENT: [u8; 188 * 64] = [0x47; 188 * 64];

const STATUSES: [u16; 6] = [401, 403, 404, 410, 500, 503];

pub struct Nginx {
    process: Child,
    pub directory: TempDir,
    http: u16,
    https: u16,
}

/// One line of the access log.
#[derive(Debug)]
pub struct Request {
    pub connection: String,
    pub protocol: String,
    pub path: String,
    pub user_agent: String,
    pub header: String,
    pub range: String,
    /// Content-Encoding of the response.
    pub encoding: String,
}

impl Nginx {
    /// None, with a word about it, where nginx or openssl is not installed.
    pub fn start() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory for nginx");
        let at = directory.path();
        if !make_certificates(at) {
            eprintln!("skipped: openssl is not installed");
            return None;
        }
        std::fs::create_dir(at.join("www")).expect("a new directory");
        std::fs::write(at.join("www/list.m3u8"), PLAYLIST).expect("a playlist");
        std::fs::write(at.join("www/seg.ts"), SEGMENT).expect("a segment");
        let (http, https) = (free_port(), free_port());
        std::fs::write(at.join("nginx.conf"), configuration(at, http, https)).expect("a configuration");
        let log = at.join("error.log");
        let process = ["nginx", "/usr/sbin/nginx"].iter().find_map(|nginx| {
            let mut command = Command::new(nginx);
            command.arg("-p").arg(at).arg("-c").arg(at.join("nginx.conf")).arg("-e").arg(&log);
            command.stderr(Stdio::null()).spawn().ok()
        });
        let Some(process) = process else {
            eprintln!("skipped: nginx is not installed");
            return None;
        };
        let nginx = Self { process, directory, http, https };
        nginx.wait("nginx answers", || TcpStream::connect(("127.0.0.1", http)).is_ok());
        Some(nginx)
    }

    pub fn http(&self, path: &str) -> url::Url {
        format!("http://127.0.0.1:{}/{path}", self.http).parse().expect("a URL")
    }

    pub fn https(&self, path: &str) -> url::Url {
        format!("https://localhost:{}/{path}", self.https).parse().expect("a URL")
    }

    /// The requests that were answered, once there are `count`.
    pub fn requests(&self, count: usize) -> Vec<Request> {
        let read = || std::fs::read_to_string(self.directory.path().join("access.log")).unwrap_or_default();
        self.wait("requests are logged", || read().lines().count() >= count);
        let request = |line: &str| {
            let fields: Vec<String> = line.split('|').map(str::to_owned).collect();
            let [connection, protocol, path, user_agent, header, range, encoding] =
                fields.try_into().expect("seven fields");
            Request { connection, protocol, path, user_agent, header, range, encoding }
        };
        read().lines().map(request).collect()
    }

    fn wait(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition() {
            let log = || std::fs::read_to_string(self.directory.path().join("error.log"));
            assert!(Instant::now() < deadline, "not in 20 s: {what}: {:?}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(at: &Path, http: u16, https: u16) -> String {
    let at = at.display();
    let statuses: String = STATUSES.iter().map(|s| format!("location = /{s} {{ return {s}; }}\n")).collect();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {at}/{name};\n"))
        .collect();
    format!(
        "daemon off; master_process off; pid {at}/nginx.pid;
         events {{}}
         http {{
           {temporary}
           log_format fields '$connection|$server_protocol|$uri|$http_user_agent|$http_x_test|$http_range|$sent_http_content_encoding';
           access_log {at}/access.log fields;
           types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
           # Segments, too, for whoever asks: a player must not.
           gzip on; gzip_min_length 1; gzip_types application/vnd.apple.mpegurl video/mp2t;
           ssl_certificate {at}/server.pem; ssl_certificate_key {at}/server.key;
           server {{
             listen 127.0.0.1:{http};
             listen 127.0.0.1:{https} ssl http2;
             root {at}/www;
             location = /moved {{ return 302 /list.m3u8; }}
             location = /loop {{ return 302 /loop; }}
             location /rangeless/ {{ alias {at}/www/; max_ranges 0; }}
             {statuses}
           }}
         }}"
    )
}

/// An authority (`ca.pem`) and a certificate for localhost that it has signed.
fn make_certificates(at: &Path) -> bool {
    std::fs::write(at.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").expect("a file");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=Test-authority"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem"
            .into(),
    ]
    .iter()
    .all(|arguments| {
        let mut openssl = Command::new("openssl");
        openssl.args(arguments.split(' ')).current_dir(at).stderr(Stdio::null());
        openssl.status().is_ok_and(|status| status.success())
    })
}

/// A port of loopback that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
