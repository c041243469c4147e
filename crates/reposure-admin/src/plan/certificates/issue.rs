//! Keys and certificates, made.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use reposure_api::names::SIMPLE;
use secrecy::{ExposeSecret as _, SecretString};

use super::{CertificateError, CertificateNames, read::Certificate};

/// How long a certificate is good: as long as those of cert-manager and Let's Encrypt.
pub const LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long an authority is good: as long as the authorities that kubeadm makes for a cluster.
pub const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(3650 * 24);
/// How far back a certificate begins, for clocks that are late.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);
/// The organization of an authority, whose name is its namespace: a common name has room for that and no more.
const ORGANIZATION: &str = "Reposure simple registry";

/// A certificate and its key. It has no `Debug`.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) certificate: Certificate,
    pub(super) key: SecretString,
}

/// Makes an authority for certificates in `namespace`, good from `now` on for [`AUTHORITY_LIFE`].
pub(super) fn authority(namespace: &str, now: Timestamp) -> Result<Pair, CertificateError> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::OrganizationName, ORGANIZATION);
    parameters.distinguished_name.push(DnType::CommonName, namespace);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    good_for(&mut parameters, now, now.saturating_add(AUTHORITY_LIFE).unwrap_or(Timestamp::MAX));
    let key = KeyPair::generate().map_err(CertificateError::Make)?;
    let made = parameters.self_signed(&key).map_err(CertificateError::Make)?;
    pair(made.der(), &key)
}

/// Makes a certificate that `authority` signs, good from `now` on for [`LIFE`], but not for longer than the authority.
pub(super) fn server(
    names: &CertificateNames,
    authority: &Pair,
    now: Timestamp,
) -> Result<Pair, CertificateError> {
    let mut parameters = CertificateParams::new(names.hosts.clone()).map_err(CertificateError::Make)?;
    parameters.subject_alt_names.extend(names.addresses.iter().copied().map(SanType::IpAddress));
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, SIMPLE);
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Tells authorities of the same name apart.
    parameters.use_authority_key_identifier_extension = true;
    let end = now.saturating_add(LIFE).unwrap_or(Timestamp::MAX);
    good_for(&mut parameters, now, end.min(authority.certificate.end));
    let signer = KeyPair::from_pem(authority.key.expose_secret()).map_err(CertificateError::Make)?;
    let issuer = Issuer::from_ca_cert_der(&authority.certificate.der.as_slice().into(), signer)
        .map_err(CertificateError::Make)?;
    let key = KeyPair::generate().map_err(CertificateError::Make)?;
    let made = parameters.signed_by(&key, &issuer).map_err(CertificateError::Make)?;
    pair(made.der(), &key)
}

fn pair(der: &[u8], key: &KeyPair) -> Result<Pair, CertificateError> {
    let damaged = CertificateError::Make(rcgen::Error::CouldNotParseCertificate);
    let certificate = Certificate::of_der(der).ok_or(damaged)?;
    Ok(Pair { certificate, key: key.serialize_pem().into() })
}

fn good_for(parameters: &mut CertificateParams, now: Timestamp, end: Timestamp) {
    let at = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or_default();
        date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    parameters.not_before = at(now.saturating_sub(BACKDATED).unwrap_or(now));
    parameters.not_after = at(end);
}
