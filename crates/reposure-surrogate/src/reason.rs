//! Why a connection failed, as a code.

use std::{error::Error, io};

use reposure_oci::{
    auth::{AuthError, CredentialsError},
    direct::{Cause, DirectError},
};
use reposure_parcel::status::Reason;

use crate::upstream::RegistryError;

/// Finds the reason among an error and its sources.
pub(crate) fn of(error: &(dyn Error + 'static)) -> Reason {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(reason) = of_one(error) {
            return reason;
        }
        // An IO error shows its inner error's source, but not the inner error.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    Reason::Failed
}

fn of_one(error: &(dyn Error + 'static)) -> Option<Reason> {
    if let Some(error) = error.downcast_ref::<DirectError>() {
        return of_cause(error.cause);
    }
    if let Some(error) = error.downcast_ref::<AuthError>() {
        return error.is_denied().then_some(Reason::Unauthorized);
    }
    if error.is::<CredentialsError>()
        || error.is::<std::sync::Arc<RegistryError>>()
        || error.is::<RegistryError>()
    {
        return Some(Reason::CredentialsInvalid);
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return matches!(error, rustls::Error::InvalidCertificate(_)).then_some(Reason::CertificateUntrusted);
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(Reason::ConnectionRefused),
            io::ErrorKind::TimedOut => Some(Reason::Timeout),
            _ => None,
        };
    }
    // A resolver's error has no type of its own.
    (error.to_string() == "dns error").then_some(Reason::NameUnknown)
}

fn of_cause(cause: Cause) -> Option<Reason> {
    match cause {
        Cause::NameUnknown => Some(Reason::NameUnknown),
        Cause::ConnectionRefused => Some(Reason::ConnectionRefused),
        Cause::Timeout(_) => Some(Reason::Timeout),
        Cause::CertificateUntrusted => Some(Reason::CertificateUntrusted),
        Cause::NoHttp | Cause::Tls => Some(Reason::NotARegistry),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn finds_what_is_inside() {
        assert_eq!(of(&Outer(io::ErrorKind::ConnectionRefused.into())), Reason::ConnectionRefused);
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert_eq!(of(&Outer(io::Error::other(untrusted))), Reason::CertificateUntrusted);
        assert_eq!(of(&Outer(io::Error::other("dns error"))), Reason::NameUnknown);
        assert_eq!(of(&Outer(io::ErrorKind::BrokenPipe.into())), Reason::Failed);
    }
}
