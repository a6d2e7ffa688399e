//! The API's certificate and key: read from PEM files, read again when they change, and told before they expire.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use x509_parser::error::X509Error;
use x509_parser::nom;

use super::validity::{self, Validity};
use crate::health::alarm::{Alarm, AlarmKind, Severity};

/// HTTP/2 first: whoever speaks both takes it. A caller without ALPN speaks HTTP/1.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

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
        source: pem::Error,
    },
    /// The certificate's file has none.
    #[error("{} holds no certificate in PEM", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// One of the certificates is none.
    #[error("certificate {place} of {} cannot be read: {source}", path.display())]
    NoX509 {
        /// The file.
        path: PathBuf,
        /// Its place there, from 1.
        place: usize,
        /// What the reader said.
        source: nom::Err<X509Error>,
    },
    /// The key's file has none.
    #[error("{} holds no private key in PEM", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// They do not belong together, or are of a kind that is not supported.
    #[error("{} and {} cannot be used together: {source}", certificate.display(), key.display())]
    Refused {
        /// The certificate chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// What tells one state of a file from another. The change time moves also when its permissions are put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileState {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// The certificate with which the API speaks TLS.
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    in_use: Mutex<InUse>,
}

struct InUse {
    config: Arc<ServerConfig>,
    /// When each certificate of the chain is valid, the node's own first.
    chain: Vec<Validity>,
    /// What the files looked like when they were last read, with whatever result.
    seen: [Option<FileState>; 2],
    /// Why what they hold now is not in use, if it is not.
    refused: Option<TlsError>,
}

impl Certificate {
    /// Reads a certificate chain and its key.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let seen = [certificate, key].map(seen);
        let (config, chain) = read(certificate, key)?;
        let in_use = Mutex::new(InUse { config, chain, seen, refused: None });
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

    /// Reads the files again if they are others than when they were last read.
    pub(super) fn follow(&self) {
        if [&self.certificate, &self.key].map(|path| seen(path)) != self.in_use().seen {
            self.reload("the files have changed");
        }
    }

    /// Reads the files again. What cannot be used is told, and the one in use stays in use.
    pub fn reload(&self, why: &str) {
        let seen = [&self.certificate, &self.key].map(|path| seen(path));
        let read = read(&self.certificate, &self.key);
        let mut in_use = self.in_use();
        in_use.seen = seen;
        match read {
            Ok((config, chain)) => {
                (in_use.config, in_use.chain, in_use.refused) = (config, chain, None);
                let (starts, expires) = in_use.shown();
                let path = self.certificate.display();
                tracing::info!(%starts, %expires, "{why}: the API uses the certificate {path} as it is now");
            }
            Err(error) => {
                let (_, expires) = in_use.shown();
                let remedy = self.files_remedy("a certificate chain");
                tracing::warn!(
                    %expires,
                    "{why}: the certificate cannot be used: {error}; the API goes on with the one it has; {remedy}"
                );
                in_use.refused = Some(error);
            }
        }
    }

    fn files_remedy(&self, certificate: &str) -> String {
        format!(
            "put {certificate} at {} and its key at {}, PEM files that the node's user may read: the node reads them \
             within a minute, or at once on SIGHUP",
            self.certificate.display(),
            self.key.display()
        )
    }

    /// What the operator should know about it at this moment, in milliseconds since 1970-01-01 UTC.
    pub fn alarms(&self, now_ms: u64) -> Vec<Alarm> {
        let in_use = self.in_use();
        let alarm = |kind, severity, reason, remedy| {
            let about = "api".to_owned();
            Alarm { kind, about, severity, reason, remedy }
        };
        let of_its_time = validity::trouble(&in_use.chain, &self.certificate, now_ms).map(|trouble| {
            let remedy = format!("{}{}", trouble.first, self.files_remedy("a renewed certificate"));
            alarm(AlarmKind::Certificate, trouble.severity, trouble.reason, remedy)
        });
        let of_its_files = in_use.refused.as_ref().map(|error| {
            let (_, expires) = in_use.shown();
            let reason = format!(
                "the API's certificate was not renewed: {error}; the API goes on with the one that expires on {expires}"
            );
            alarm(AlarmKind::CertificateFiles, Severity::Warning, reason, self.files_remedy("a certificate chain"))
        });
        of_its_time.into_iter().chain(of_its_files).collect()
    }
}

impl InUse {
    /// From when until when the node's own certificate is valid, for people.
    fn shown(&self) -> (String, String) {
        self.chain.first().map(Validity::show).unwrap_or_default()
    }
}

/// `None` when there is no file, or none that can be reached.
fn seen(path: &Path) -> Option<FileState> {
    let about = std::fs::metadata(path).ok()?;
    Some(FileState { inode: about.ino(), bytes: about.len(), changed: (about.ctime(), about.ctime_nsec()) })
}

fn read(certificate: &Path, key: &Path) -> Result<(Arc<ServerConfig>, Vec<Validity>), TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::File { path: certificate.to_owned(), source })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: certificate.to_owned() });
    }
    let validity = |(place, one): (usize, &CertificateDer<'_>)| {
        Validity::read(place, one).map_err(|source| TlsError::NoX509 {
            path: certificate.to_owned(),
            place,
            source,
        })
    };
    let validities = (1..).zip(&chain).map(validity).collect::<Result<Vec<_>, _>>()?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::NoKey { path: key.to_owned() },
        source => TlsError::File { path: key.to_owned(), source },
    })?;
    let refused =
        |source| TlsError::Refused { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(refused)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok((Arc::new(config), validities))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    fn day(days: i64) -> std::time::SystemTime {
        let seconds = NOW_MS as i64 / 1_000 + days * 86_400;
        std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds as u64)
    }

    fn certify(days: std::ops::Range<i64>) -> (String, String) {
        let mut parameters = rcgen::CertificateParams::new(vec!["node.example".to_owned()]).unwrap();
        (parameters.not_before, parameters.not_after) = (day(days.start).into(), day(days.end).into());
        let key = rcgen::KeyPair::generate().unwrap();
        (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    /// Writes a certificate that is valid on these days from [`NOW_MS`] on, and its key.
    fn write(directory: &Path, days: std::ops::Range<i64>) -> (PathBuf, PathBuf) {
        let (certificate, key) = certify(days);
        let paths = (directory.join("api.pem"), directory.join("api.key"));
        std::fs::write(&paths.0, certificate).unwrap();
        std::fs::write(&paths.1, key).unwrap();
        paths
    }

    /// The one alarm of this kind.
    fn alarm(certificate: &Certificate, kind: AlarmKind) -> Option<Alarm> {
        certificate.alarms(NOW_MS).into_iter().find(|alarm| alarm.kind == kind)
    }

    fn reason(certificate: &Certificate) -> Option<String> {
        alarm(certificate, AlarmKind::Certificate).map(|alarm| alarm.reason)
    }

    #[test]
    fn an_expiry_is_told_ahead_and_after_and_a_renewed_certificate_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let (pem, key) = write(directory.path(), -9..-3);
        let certificate = Certificate::read(&pem, &key).unwrap();
        assert!(reason(&certificate).unwrap().contains("has expired on 2026-09-18"));
        write(directory.path(), -1..20);
        certificate.reload("test");
        let alarm = certificate.alarms(NOW_MS + 1_000).remove(0);
        assert!(alarm.reason.contains("in 19 days") && alarm.remedy.contains("SIGHUP"), "{alarm:?}");
        write(directory.path(), -1..200);
        certificate.reload("test");
        assert_eq!(reason(&certificate), None);
        // A certificate without its key, as in the middle of a renewal: the one in use stays.
        let before = certificate.acceptor();
        std::fs::write(&pem, "no certificate").unwrap();
        certificate.follow();
        assert!(Arc::ptr_eq(before.config(), certificate.acceptor().config()));
        write(directory.path(), -1..10);
        certificate.follow();
        assert!(reason(&certificate).unwrap().contains("in 10 days"));
    }

    #[test]
    fn a_certificate_whose_time_has_not_come_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (pem, key) = write(directory.path(), 2..200);
        let certificate = Certificate::read(&pem, &key).unwrap();
        let alarm = alarm(&certificate, AlarmKind::Certificate).unwrap();
        assert!(alarm.reason.contains("is not valid before 2026-09-23"), "{alarm:?}");
        assert!(alarm.remedy.starts_with("check this machine's clock"), "{alarm:?}");
    }

    #[test]
    fn files_that_cannot_be_used_are_an_alarm_that_names_them_until_they_can() {
        let directory = tempfile::tempdir().unwrap();
        let (pem, key) = write(directory.path(), -1..200);
        let certificate = Certificate::read(&pem, &key).unwrap();
        let before = certificate.acceptor();
        let spoil: [(&dyn Fn(), &Path, &str); 5] = [
            (&|| std::fs::write(&pem, "no certificate").unwrap(), &pem, "holds no certificate"),
            (&|| std::fs::remove_file(&pem).unwrap(), &pem, "No such file"),
            (&|| std::fs::write(&pem, certify(-1..200).0).unwrap(), &pem, "cannot be used together"),
            (&|| std::fs::write(&key, "no key").unwrap(), &key, "holds no private key"),
            (&|| std::fs::remove_file(&key).unwrap(), &key, "No such file"),
        ];
        for (spoil, path, why) in spoil {
            spoil();
            certificate.follow();
            let alarm = alarm(&certificate, AlarmKind::CertificateFiles).expect(why);
            let path = path.display().to_string();
            assert!(alarm.reason.contains(&path) && alarm.reason.contains(why), "{alarm:?}");
            assert!(alarm.remedy.contains(&path) && alarm.remedy.contains("SIGHUP"), "{alarm:?}");
            assert!(Arc::ptr_eq(before.config(), certificate.acceptor().config()), "{why}");
        }
        write(directory.path(), -1..300);
        certificate.follow();
        assert_eq!(certificate.alarms(NOW_MS), []);
        assert!(!Arc::ptr_eq(before.config(), certificate.acceptor().config()));
    }

    #[test]
    fn permissions_that_are_put_right_are_seen() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (pem, _) = write(directory.path(), -1..200);
        let before = seen(&pem);
        // The clock of the file system ticks every few milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(50));
        std::fs::set_permissions(&pem, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert_ne!(seen(&pem), before);
    }

    #[test]
    fn the_whole_chain_is_judged() {
        let directory = tempfile::tempdir().unwrap();
        let (pem, key) = write(directory.path(), -1..200);
        let own = std::fs::read_to_string(&pem).unwrap();
        std::fs::write(&pem, format!("{own}{}", certify(-9..-3).0)).unwrap();
        let certificate = Certificate::read(&pem, &key).unwrap();
        let told = reason(&certificate).unwrap();
        assert!(told.starts_with("certificate 2 of ") && told.contains("has expired"), "{told}");
        // A PEM section that holds no certificate.
        let broken = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
        std::fs::write(&pem, format!("{own}{broken}")).unwrap();
        let refused = Certificate::read(&pem, &key).map(drop).unwrap_err().to_string();
        assert!(refused.contains(&format!("certificate 2 of {}", pem.display())), "{refused}");
    }
}
