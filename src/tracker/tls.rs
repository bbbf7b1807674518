// SPDX-License-Identifier: MPL-2.0

//! The certificate, read again when its file has changed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM, with the certificates in between, as `fullchain.pem` of ACME clients.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{}: {error}", path.display())]
    Pem { path: PathBuf, error: pem::Error },
    #[error("{}: holds no certificate", .0.display())]
    Empty(PathBuf),
    #[error("certificate and key are of no use: {0}")]
    Rustls(#[from] rustls::Error),
}

type Stamps = [Option<SystemTime>; 2];

pub(super) struct Tls {
    files: TlsFiles,
    current: RwLock<(TlsAcceptor, Stamps)>,
}

impl Tls {
    /// Reads the files; blocks for a moment.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let stamps = stamps(&files);
        let acceptor = acceptor(&files)?;
        Ok(Self { files, current: RwLock::new((acceptor, stamps)) })
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Reads the files again if they have changed. The old certificate stays in use if the new one
    /// cannot be; a key that has been written before its certificate is tried again when that
    /// comes.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let stamps = stamps(&self.files);
        if self.current.read().unwrap_or_else(PoisonError::into_inner).1 == stamps {
            return Ok(false);
        }
        let fresh = acceptor(&self.files);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.1 = stamps;
        current.0 = fresh?;
        Ok(true)
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    [&files.certificate, &files.key].map(|path| std::fs::metadata(path).and_then(|data| data.modified()).ok())
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| TlsError::Pem { path, error }
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(at(&files.certificate))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty(files.certificate.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(at(&files.key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    // WebSocket is asked for over HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 1;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
