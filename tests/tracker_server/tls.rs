// SPDX-License-Identifier: MPL-2.0

//! wss:// with a certificate that changes.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gstp2phls::tracker::server::Config;
use gstp2phls::tracker::tls::TlsFiles;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::support::*;

/// Makes an authority and puts a certificate that it has signed in place; false, with a word about
/// it, without openssl.
fn certificate(directory: &TempDir, authority: &str) -> bool {
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("names"), "subjectAltName=DNS:localhost\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let commands = [
        format!("req -x509 {key} -keyout ca.key -out {authority}.pem -days 2 -subj /CN={authority}"),
        format!("req {key} -keyout new.key -out new.csr -subj /CN=localhost"),
        format!(
            "x509 -req -in new.csr -CA {authority}.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out new.pem"
        ),
    ];
    let made = commands.iter().all(|arguments| {
        let mut openssl = Command::new("openssl");
        openssl.args(arguments.split(' ')).current_dir(directory.path()).stderr(Stdio::null());
        openssl.status().is_ok_and(|status| status.success())
    });
    if !made {
        eprintln!("skipped: openssl is not installed");
        return false;
    }
    // As ACME clients do: one after the other.
    std::fs::rename(path("new.key"), path("key.pem")).unwrap();
    std::fs::rename(path("new.pem"), path("certificate.pem")).unwrap();
    true
}

/// Connects, trusting one certificate only, and announces.
async fn announces(tracker: &Tracker, directory: &TempDir, trusted: &str) -> bool {
    use futures_util::{SinkExt, StreamExt};
    let mut roots = RootCertStore::empty();
    let path = directory.path().join(format!("{trusted}.pem"));
    roots.add(CertificateDer::from_pem_file(path).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(tracker.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let Ok(stream) = patiently(TlsConnector::from(Arc::new(config)).connect(name, stream)).await else {
        return false;
    };
    let (mut socket, _) = patiently(client_async("wss://localhost/", stream)).await.unwrap();
    // A message that does not fit into one TLS record.
    let mut message = announce(HASH, ALICE, &[]);
    message["padding"] = "x".repeat(40_000).into();
    socket.send(Message::text(message.to_string())).await.unwrap();
    let reply = patiently(socket.next()).await.unwrap().unwrap();
    reply.to_text().unwrap().contains("interval")
}

#[tokio::test]
async fn a_new_certificate_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    if !certificate(&directory, "first") {
        return;
    }
    let path = |name: &str| directory.path().join(name);
    let tls = Some(TlsFiles { certificate: path("certificate.pem"), key: path("key.pem") });
    let reload_every = Some(Duration::from_millis(10));
    let tracker = Tracker::with(Config { tls, reload_every, ..Config::default() }).await;
    assert!(announces(&tracker, &directory, "first").await);

    // A broken one is not.
    std::fs::write(path("certificate.pem"), "nonsense").unwrap();
    for _ in 0..3 {
        assert!(announces(&tracker, &directory, "first").await);
    }
    assert!(certificate(&directory, "second"));
    patiently(async { while !announces(&tracker, &directory, "second").await {} }).await;
    assert!(!announces(&tracker, &directory, "first").await);
}
