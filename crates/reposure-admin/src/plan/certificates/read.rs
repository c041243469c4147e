//! Certificates, read.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use x509_parser::{extensions::GeneralName, parse_x509_certificate, pem::Pem, prelude::X509Certificate};

use super::CertificateNames;

/// The characters of a line of PEM. See [RFC 7468, section 2](https://www.rfc-editor.org/rfc/rfc7468#section-2).
const LINE: usize = 64;
/// The most certificates that are read from one text: the rest is of nobody's making.
const MOST: usize = 64;

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    pub(super) begin: Timestamp,
    pub(super) end: Timestamp,
}

impl Certificate {
    pub(super) fn of_der(der: &[u8]) -> Option<Self> {
        let (_, parsed) = parse_x509_certificate(der).ok()?;
        let validity = parsed.validity();
        let time = |seconds| Timestamp::from_second(seconds).ok();
        let (begin, end) = (time(validity.not_before.timestamp())?, time(validity.not_after.timestamp())?);
        Some(Self { der: der.into(), begin, end })
    }

    /// Returns the certificates in a text, but for those that are malformed.
    pub(super) fn all(pem: &[u8]) -> Vec<Self> {
        let found = Pem::iter_from_buffer(pem).take(MOST).filter_map(Result::ok);
        found.filter(|pem| pem.label == "CERTIFICATE").filter_map(|pem| Self::of_der(&pem.contents)).collect()
    }

    /// Returns the first certificate in a text.
    pub(super) fn first(pem: &[u8]) -> Option<Self> {
        Self::all(pem).into_iter().next()
    }

    pub(super) fn pem(&self) -> String {
        let text = STANDARD.encode(&self.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(LINE) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// Returns when it should be renewed: at two thirds of its life.
    pub(super) fn renewal(&self) -> Timestamp {
        let life = self.end.duration_since(self.begin);
        let thirds = SignedDuration::from_secs(life.as_secs() / 3 * 2);
        self.begin.saturating_add(thirds).unwrap_or(self.end)
    }

    /// Tells whether it is in its time.
    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        self.begin <= now && now < self.end
    }

    /// Tells whether `authority` has signed it.
    pub(super) fn is_signed_by(&self, authority: &Self) -> bool {
        self.with(|own| {
            authority.with(|other| {
                own.issuer().as_raw() == other.subject().as_raw()
                    && own.verify_signature(Some(other.public_key())).is_ok()
            })
        })
    }

    /// Tells whether it is for all of `names` that the Service has. Those of a forwarded port are a convenience, which certificates of version 0.2
    /// and of others lack.
    pub(super) fn covers(&self, names: &CertificateNames) -> bool {
        self.with(|own| {
            let found = own.subject_alternative_name().ok().flatten();
            let found = found.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
            let has_host = |host: &String| {
                found.iter().any(|name| matches!(name, GeneralName::DNSName(name) if name == host))
            };
            let has_address = |address: &IpAddr| {
                let octets = octets(*address);
                found.iter().any(|name| matches!(name, GeneralName::IPAddress(bytes) if *bytes == octets))
            };
            names.of_service().all(has_host)
                && names.addresses.iter().filter(|address| !address.is_loopback()).all(has_address)
        })
    }

    fn with(&self, check: impl FnOnce(&X509Certificate<'_>) -> bool) -> bool {
        parse_x509_certificate(&self.der).is_ok_and(|(_, parsed)| check(&parsed))
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

/// Returns by what a text is known again: SHA-256 in hexadecimal digits.
pub(super) fn fingerprint(text: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
