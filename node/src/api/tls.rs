//! The API's certificate and key: read from PEM files, read again when they change, and told before they expire.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use super::expiry;
use super::limits::API_CERTIFICATE_ALARM_DAYS;
use crate::alarm::{Alarm, AlarmKind, Severity};

/// HTTP/2 first: whoever speaks both takes it. A caller without ALPN speaks HTTP/1.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// The name of HTTP/2 in ALPN.
pub(super) const HTTP2: &[u8] = b"h2";

/// Why certificate and key cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate's file has none.
    #[error("{} holds no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// They do not belong together, or are of a kind that is not supported.
    #[error("{0}")]
    Refused(#[from] rustls::Error),
}

/// The certificate with which the API speaks TLS.
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    in_use: Mutex<InUse>,
}

struct InUse {
    config: Arc<ServerConfig>,
    /// End of the certificate's validity; `None` when it cannot be told.
    expires_ms: Option<u64>,
    /// What the files looked like when they were last read, with whatever result.
    seen: [Option<(SystemTime, u64)>; 2],
}

impl Certificate {
    /// Reads a certificate chain and its key.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let seen = [certificate, key].map(seen);
        let (config, expires_ms) = read(certificate, key)?;
        let in_use = Mutex::new(InUse { config, expires_ms, seen });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), in_use })
    }

    /// It is replaced as a whole under this lock.
    fn in_use(&self) -> MutexGuard<'_, InUse> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What new connections are accepted with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.in_use().config))
    }

    /// End of its validity in milliseconds since 1970-01-01 UTC, if it can be told.
    pub fn expires_ms(&self) -> Option<u64> {
        self.in_use().expires_ms
    }

    /// Reads the files again if they are others than when they were last read.
    pub(super) fn follow(&self) {
        if [&self.certificate, &self.key].map(|path| seen(path)) != self.in_use().seen {
            self.reload("the files have changed");
        }
    }

    /// Reads the files again. What cannot be used is told, and the one in use stays in use.
    pub fn reload(&self, why: &str) {
        self.in_use().seen = [&self.certificate, &self.key].map(|path| seen(path));
        let path = self.certificate.display();
        match read(&self.certificate, &self.key) {
            Ok((config, expires_ms)) => {
                let mut in_use = self.in_use();
                (in_use.config, in_use.expires_ms) = (config, expires_ms);
                let expires = expires_ms.map(expiry::date).unwrap_or_default();
                tracing::info!(%expires, "{why}: the API uses the certificate {path} as it is now");
            }
            Err(error) => tracing::warn!(
                "{why}: the certificate {path} cannot be used ({error}), the API goes on with the one it has; give PEM \
                 files that belong together"
            ),
        }
    }

    /// What the operator should know about it.
    pub fn alarm(&self, now_ms: u64) -> Option<Alarm> {
        let expires_ms = self.expires_ms()?;
        let days = expires_ms.saturating_sub(now_ms) / DAY_MS;
        let path = self.certificate.display();
        let date = expiry::date(expires_ms);
        let (severity, reason) = if expires_ms <= now_ms {
            let reason = format!("the API's certificate {path} has expired on {date}: callers refuse it");
            (Severity::Urgent, reason)
        } else if days < API_CERTIFICATE_ALARM_DAYS {
            let reason = format!("the API's certificate {path} expires on {date}, in {days} days");
            (Severity::Warning, reason)
        } else {
            return None;
        };
        let remedy = "put a renewed certificate and its key in place of the files: the node reads them within a minute, or \
                      at once on SIGHUP"
            .to_owned();
        Some(Alarm { kind: AlarmKind::Certificate, about: "api".to_owned(), severity, reason, remedy })
    }
}

/// What tells one state of a file from another.
fn seen(path: &Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn read(certificate: &Path, key: &Path) -> Result<(Arc<ServerConfig>, Option<u64>), TlsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed(certificate))?;
    // The first one is the node's own; those of its issuers follow.
    let own = chain.first().ok_or_else(|| TlsError::NoCertificate { path: certificate.to_owned() })?;
    let expires_ms = expiry::not_after_ms(own);
    let secret = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, secret)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok((Arc::new(config), expires_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    /// Writes a certificate of that many days from [`NOW_MS`], and its key.
    fn write(directory: &Path, days: i64) -> (PathBuf, PathBuf) {
        let mut parameters = rcgen::CertificateParams::new(vec!["node.example".to_owned()]).unwrap();
        let seconds = NOW_MS as i64 / 1_000 + days * 86_400;
        parameters.not_after = std::time::UNIX_EPOCH
            .checked_add(std::time::Duration::from_secs(seconds as u64))
            .map(Into::into)
            .unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let made = parameters.self_signed(&key).unwrap();
        let paths = (directory.join("api.pem"), directory.join("api.key"));
        std::fs::write(&paths.0, made.pem()).unwrap();
        std::fs::write(&paths.1, key.serialize_pem()).unwrap();
        paths
    }

    #[test]
    fn an_expiry_is_told_ahead_and_after_and_a_renewed_certificate_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let (pem, key) = write(directory.path(), -3);
        let certificate = Certificate::read(&pem, &key).unwrap();
        assert!(certificate.alarm(NOW_MS).unwrap().reason.contains("has expired on 2026-09-18"));
        write(directory.path(), 20);
        certificate.reload("test");
        let alarm = certificate.alarm(NOW_MS + 1_000).unwrap();
        assert!(alarm.reason.contains("in 19 days") && alarm.remedy.contains("SIGHUP"), "{alarm:?}");
        write(directory.path(), 200);
        certificate.reload("test");
        assert_eq!(certificate.alarm(NOW_MS), None);
        assert_eq!(certificate.expires_ms(), Some(NOW_MS + 200 * DAY_MS));
        // A certificate without its key, as in the middle of a renewal: the one in use stays.
        let before = certificate.acceptor();
        std::fs::write(&pem, "no certificate").unwrap();
        certificate.follow();
        assert!(Arc::ptr_eq(before.config(), certificate.acceptor().config()));
        write(directory.path(), 300);
        certificate.follow();
        assert_eq!(certificate.expires_ms(), Some(NOW_MS + 300 * DAY_MS));
    }
}
