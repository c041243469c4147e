//! The Secrets of authorities and certificates, and how ours are told from others.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::{SignedDuration, Timestamp},
};
use reposure_api::{
    labels::{AUTHORITIES_SINCE, Application, CERTIFICATE, CLI_MANAGER, MANAGED_BY, NAME, labels},
    names::{SIMPLE_AUTHENTICATION, SIMPLE_AUTHORITY},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    CertificateError, authorities::Authorities, bundle::Bundle, issue::Pair, read::Certificate,
    read::fingerprint,
};
use crate::plan::OF_CERTIFICATE;

const CERTIFICATE_KEY: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";
const AUTHORITIES_KEY: &str = "ca.crt";
/// The keys of the authority that is to follow.
const NEXT_CERTIFICATE_KEY: &str = "next.crt";
const NEXT_PRIVATE_KEY: &str = "next.key";
/// How long the certificates of version 0.2 were good, at least: five years, less the days that months differ by.
const LEGACY_LIFE: SignedDuration = SignedDuration::from_hours(1820 * 24);

/// The Secret of the registry's certificate.
pub(super) struct Server {
    pub(super) certificate: Certificate,
    pub(super) bundle: Bundle,
}

impl Server {
    /// Takes what is in a Secret of ours; none where it is somebody else's, or was changed by somebody.
    pub(super) fn of(secret: &Secret, now: Timestamp) -> Option<Self> {
        let pem = value(secret, CERTIFICATE_KEY)?;
        let certificate = Certificate::first(pem)?;
        if !(is_marked(secret, pem) || is_of_version_0_2(secret, pem, &certificate)) {
            return None;
        }
        let since = annotation(secret, AUTHORITIES_SINCE).and_then(|time| time.parse().ok());
        let bundle = Bundle::of(value(secret, AUTHORITIES_KEY).unwrap_or_default(), since, now);
        Some(Self { certificate, bundle })
    }

    /// Takes what cert-manager has made for the registry and sees to no more.
    pub(super) fn of_cert_manager(secret: &Secret, now: Timestamp) -> Option<Self> {
        annotation(secret, OF_CERTIFICATE).filter(|name| *name == reposure_api::names::SIMPLE)?;
        let certificate = Certificate::first(value(secret, CERTIFICATE_KEY)?)?;
        let bundle = Bundle::of(value(secret, AUTHORITIES_KEY).unwrap_or_default(), None, now);
        Some(Self { certificate, bundle })
    }
}

/// Tells whether cert-manager has made the authority, for the certificate of the registry.
pub(super) fn is_of_cert_manager(authority: &Secret) -> bool {
    let pem = value(authority, CERTIFICATE_KEY).unwrap_or_default();
    annotation(authority, OF_CERTIFICATE) == Some(SIMPLE_AUTHORITY) && !is_marked(authority, pem)
}

/// Takes the authorities of a Secret.
pub(super) fn authorities(secret: &Secret) -> Result<Authorities, CertificateError> {
    let pem = value(secret, CERTIFICATE_KEY).unwrap_or_default();
    if !is_marked(secret, pem) {
        return Err(CertificateError::ForeignAuthority);
    }
    let signing = pair(secret, CERTIFICATE_KEY, PRIVATE_KEY).ok_or(CertificateError::DamagedAuthority)?;
    Ok(Authorities { signing, next: pair(secret, NEXT_CERTIFICATE_KEY, NEXT_PRIVATE_KEY), changed: false })
}

/// Returns the Secret of authorities, in place of the one that was `found`.
pub(super) fn of_authorities(namespace: &str, authorities: &Authorities, found: Option<&Secret>) -> Secret {
    let Authorities { signing, next, .. } = authorities;
    let ours = found.filter(|secret| !is_of_cert_manager(secret));
    let mut data = with(ours, pair_data(CERTIFICATE_KEY, PRIVATE_KEY, signing));
    data.retain(|key, _| key != NEXT_CERTIFICATE_KEY && key != NEXT_PRIVATE_KEY);
    if let Some(next) = next {
        data.extend(pair_data(NEXT_CERTIFICATE_KEY, NEXT_PRIVATE_KEY, next));
    }
    let marks = [(CERTIFICATE, fingerprint(signing.certificate.pem().as_bytes()))];
    secret(namespace, SIMPLE_AUTHORITY, data, marks, found)
}

/// Returns the Secret of the registry's certificate, in place of the one that was `found`: with another certificate if there is a `new`
/// one.
pub(super) fn of_server(
    namespace: &str,
    new: Option<&Pair>,
    bundle: &Bundle,
    found: Option<&Secret>,
) -> Secret {
    let new = new.map(|pair| pair_data(CERTIFICATE_KEY, PRIVATE_KEY, pair));
    let mut data = with(found, new.into_iter().flatten());
    data.insert(AUTHORITIES_KEY.into(), ByteString(bundle.pem().into()));
    let shown = data.get(CERTIFICATE_KEY).map(|pem| fingerprint(&pem.0)).unwrap_or_default();
    let marks = [(CERTIFICATE, shown), (AUTHORITIES_SINCE, bundle.since().to_string())];
    secret(namespace, SIMPLE_AUTHENTICATION, data, marks, found)
}

fn with(
    found: Option<&Secret>,
    new: impl IntoIterator<Item = (String, ByteString)>,
) -> BTreeMap<String, ByteString> {
    let mut data = found.and_then(|secret| secret.data.clone()).unwrap_or_default();
    data.extend(new);
    data
}

fn pair_data(certificate: &str, key: &str, pair: &Pair) -> [(String, ByteString); 2] {
    let bytes = |text: &str| ByteString(text.as_bytes().into());
    [(certificate.into(), bytes(&pair.certificate.pem())), (key.into(), bytes(pair.key.expose_secret()))]
}

fn secret<const N: usize>(
    namespace: &str,
    name: &str,
    data: BTreeMap<String, ByteString>,
    marks: [(&str, String); N],
    found: Option<&Secret>,
) -> Secret {
    let marks = marks.into_iter().map(|(key, text)| (key.to_owned(), text)).collect();
    Secret {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(namespace.into()),
            labels: Some(labels(Application::Simple, None, CLI_MANAGER)),
            annotations: Some(marks),
            // What somebody has changed since it was read is not overwritten.
            resource_version: found.and_then(|secret| secret.metadata.resource_version.clone()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".into()),
        data: Some(data),
        ..Secret::default()
    }
}

fn pair(secret: &Secret, certificate: &str, key: &str) -> Option<Pair> {
    let certificate = Certificate::first(value(secret, certificate)?)?;
    let key = std::str::from_utf8(value(secret, key)?).ok()?;
    rcgen::KeyPair::from_pem(key).ok()?;
    Some(Pair { certificate, key: SecretString::from(key) })
}

fn value<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|bytes| bytes.0.as_slice())
}

fn annotation<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    secret.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Tells whether the certificate is the one that was written with our annotation, and none that somebody has put in its place.
fn is_marked(secret: &Secret, certificate: &[u8]) -> bool {
    annotation(secret, CERTIFICATE).is_some_and(|mark| mark == fingerprint(certificate))
}

/// Tells whether it is what version 0.2 made: signed by itself, for five years, and with labels alone.
fn is_of_version_0_2(secret: &Secret, pem: &[u8], certificate: &Certificate) -> bool {
    let label =
        |key: &str| secret.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    label(MANAGED_BY) == Some(CLI_MANAGER)
        && label(NAME) == Some(Application::Simple.as_str())
        && annotation(secret, CERTIFICATE).is_none()
        && annotation(secret, OF_CERTIFICATE).is_none()
        && value(secret, AUTHORITIES_KEY) == Some(pem)
        && certificate.is_signed_by(certificate)
        && certificate.end.duration_since(certificate.begin) >= LEGACY_LIFE
}
