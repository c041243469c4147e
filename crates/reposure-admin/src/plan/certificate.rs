//! A certificate for the built-in registry, where no cert-manager makes one.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::{
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::{Timestamp, civil::Date, tz::TimeZone},
};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType, date_time_ymd};
use reposure_api::{
    labels::{Application, labels},
    names::{SIMPLE, SIMPLE_AUTHENTICATION},
};

use super::Step;
use crate::object::Manager;

/// How long a certificate is valid, in years: nothing renews it but deleting its Secret.
const YEARS: i16 = 5;

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("a certificate for the built-in registry cannot be made")]
pub struct CertificateError(#[source] rcgen::Error);

/// Returns the step that creates the Secret `reposure-simple-authentication` unless there is one: keys `tls.crt`,
/// `tls.key`, and `ca.crt`, which is the same as the first, since the certificate is signed by itself.
///
/// It is for the names of the Service `reposure-simple` in `namespace` and for its `addresses`, and valid for five years
/// from `now`. After a change of the addresses it is renewed by deleting the Secret and installing again.
///
/// # Errors
/// [`CertificateError`] if the system has no randomness, or `namespace` is no DNS label.
pub fn simple_certificate(
    namespace: &str,
    addresses: &[IpAddr],
    now: Timestamp,
) -> Result<Step, CertificateError> {
    let key = KeyPair::generate().map_err(CertificateError)?;
    let parameters = parameters(namespace, addresses, now.to_zoned(TimeZone::UTC).date())?;
    let certificate = parameters.self_signed(&key).map_err(CertificateError)?.pem();
    let data = [("tls.crt", certificate.clone()), ("tls.key", key.serialize_pem()), ("ca.crt", certificate)];
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(SIMPLE_AUTHENTICATION.into()),
            namespace: Some(namespace.into()),
            labels: Some(labels(Application::Simple, None, Manager::Cli.as_str())),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".into()),
        string_data: Some(data.into_iter().map(|(key, text)| (key.into(), text)).collect::<BTreeMap<_, _>>()),
        ..Secret::default()
    };
    Ok(Step::CreateIfMissing(secret.into()))
}

fn parameters(
    namespace: &str,
    addresses: &[IpAddr],
    today: Date,
) -> Result<CertificateParams, CertificateError> {
    let host = format!("{SIMPLE}.{namespace}");
    let names = [SIMPLE.into(), host.clone(), format!("{host}.svc"), format!("{host}.svc.cluster.local")];
    let mut parameters = CertificateParams::new(names).map_err(CertificateError)?;
    parameters.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
    parameters.distinguished_name.push(DnType::CommonName, SIMPLE);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // No 29th of February, since not each year has one.
    let number = |number: i8| u8::try_from(number).unwrap_or(1);
    let day = |date: Date, years: i16| {
        date_time_ymd(i32::from(date.year() + years), number(date.month()), number(date.day().min(28)))
    };
    // A day back, for clocks that are late.
    let from = today.yesterday().unwrap_or(today);
    parameters.not_before = day(from, 0);
    parameters.not_after = day(from, YEARS);
    Ok(parameters)
}
