//! From when until when the certificates of the API's chain are valid, and what an operator should know about it.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use x509_parser::error::X509Error;
use x509_parser::nom;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};
use yilian_local::moment;
use yilian_spec::base::time::LedgerTime;

use super::limits::API_CERTIFICATE_ALARM_DAYS;
use crate::health::alarm::Severity;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// When one certificate of a chain is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    /// Its place in the file: 1 is the node's own, those of its issuers follow.
    place: usize,
    starts: LedgerTime,
    ends: LedgerTime,
}

/// What is the matter with a certificate's validity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Whether callers refuse it already.
    pub severity: Severity,
    /// What is the matter, in one sentence.
    pub reason: String,
    /// What to look at before the certificate is replaced, if anything.
    pub first: &'static str,
}

impl Validity {
    /// Reads it from the certificate at this place of a chain.
    pub(super) fn read(place: usize, certificate: &CertificateDer<'_>) -> Result<Self, nom::Err<X509Error>> {
        let (rest, read) = X509Certificate::from_der(certificate)?;
        if !rest.is_empty() {
            return Err(nom::Err::Failure(X509Error::InvalidCertificate));
        }
        let validity = read.validity();
        Ok(Self { place, starts: moment_of(validity.not_before), ends: moment_of(validity.not_after) })
    }

    /// From when until when, for people.
    pub(super) fn show(&self) -> (String, String) {
        (moment::show(self.starts), moment::show(self.ends))
    }

    fn trouble(&self, path: &Path, now_ms: u64) -> Option<Trouble> {
        let path = path.display();
        let (what, callers) = match self.place {
            1 => (format!("the API's certificate {path}"), "callers refuse it"),
            // Some callers find another way to an authority that they trust.
            place => (format!("certificate {place} of {path}, an issuer's,"), "callers may refuse the API's"),
        };
        let (starts, ends) = self.show();
        let days = self.ends.0.saturating_sub(now_ms) / DAY_MS;
        let (severity, reason, first) = if self.ends.0 < now_ms {
            (Severity::Urgent, format!("{what} has expired on {ends}: {callers}"), "")
        } else if self.starts.0 > now_ms {
            let reason = format!("{what} is not valid before {starts}: until then {callers}");
            (Severity::Urgent, reason, "check this machine's clock; if it is right, ")
        } else if days < API_CERTIFICATE_ALARM_DAYS {
            (Severity::Warning, format!("{what} expires on {ends}, in {days} days"), "")
        } else {
            return None;
        };
        Some(Trouble { severity, reason, first })
    }
}

/// The most severe trouble of a chain; of several the one that is nearest to the node's own certificate.
pub(super) fn trouble(chain: &[Validity], path: &Path, now_ms: u64) -> Option<Trouble> {
    // Of equals the last one is taken.
    chain.iter().rev().filter_map(|validity| validity.trouble(path, now_ms)).max_by_key(|one| one.severity)
}

/// What is before 1970 is as good as that.
fn moment_of(time: ASN1Time) -> LedgerTime {
    LedgerTime(u64::try_from(time.timestamp()).unwrap_or(0).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    fn valid(place: usize, days: std::ops::Range<i64>) -> Validity {
        let day = |days: i64| LedgerTime(NOW_MS.checked_add_signed(days * DAY_MS as i64).unwrap());
        Validity { place, starts: day(days.start), ends: day(days.end) }
    }

    fn told(chain: &[Validity]) -> Option<(Severity, String)> {
        trouble(chain, Path::new("api.pem"), NOW_MS).map(|told| (told.severity, told.reason))
    }

    #[test]
    fn a_certificate_is_told_before_its_time_near_its_end_and_after() {
        let cases = [
            (
                1..400,
                Severity::Urgent,
                "the API's certificate api.pem is not valid before 2026-09-22 14:13:20 UTC",
            ),
            (
                -1..20,
                Severity::Warning,
                "the API's certificate api.pem expires on 2026-10-11 14:13:20 UTC, in 20 days",
            ),
            (
                -9..-3,
                Severity::Urgent,
                "the API's certificate api.pem has expired on 2026-09-18 14:13:20 UTC",
            ),
        ];
        for (days, severity, reason) in cases {
            let (told_severity, told_reason) = told(&[valid(1, days)]).unwrap();
            assert_eq!(told_severity, severity);
            assert!(told_reason.starts_with(reason), "{told_reason}");
        }
        assert_eq!(told(&[valid(1, -1..400)]), None);
        let early = trouble(&[valid(1, 1..400)], Path::new("api.pem"), NOW_MS).unwrap();
        assert!(early.first.contains("clock"), "{early:?}");
    }

    #[test]
    fn of_a_chain_the_worst_is_told_and_of_equals_the_nodes_own() {
        let (severity, reason) = told(&[valid(1, -1..20), valid(2, -9..400), valid(3, -9..-3)]).unwrap();
        assert_eq!(severity, Severity::Urgent);
        assert!(reason.starts_with("certificate 3 of api.pem, an issuer's, has expired on"), "{reason}");
        let (_, reason) = told(&[valid(1, 5..400), valid(2, -9..-3)]).unwrap();
        assert!(reason.contains("the API's certificate api.pem is not valid before"), "{reason}");
    }

    #[test]
    fn what_is_no_certificate_or_more_than_one_is_refused() {
        let parameters = rcgen::CertificateParams::new(vec!["node.example".to_owned()]).unwrap();
        let made = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let der = made.der().to_vec();
        assert!(Validity::read(1, made.der()).is_ok());
        for cut in 0..der.len() {
            assert!(Validity::read(1, &der[..cut].into()).is_err(), "{cut} bytes");
        }
        assert!(Validity::read(1, &[der.as_slice(), &[0]].concat().into()).is_err());
    }
}
