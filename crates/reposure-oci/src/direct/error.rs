//! What goes wrong between us and a registry.

use std::{error::Error, io, time::Duration};

use crate::transport::BoxError;

/// What goes wrong between us and a registry: the source of a `TransportError` of this transport.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {cause}")]
pub struct DirectError {
    /// `host` or `host:port`.
    pub host: String,
    /// What kind of failure it is.
    pub cause: Cause,
    /// What happened.
    #[source]
    pub source: Option<BoxError>,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The name cannot be resolved.
    #[error("the name cannot be resolved")]
    NameUnknown,
    /// The connection is refused.
    #[error("the connection is refused")]
    ConnectionRefused,
    /// There is no connection.
    #[error("there is no connection")]
    Unreachable,
    /// The certificate is not trusted.
    #[error("the certificate is not trusted")]
    CertificateUntrusted,
    /// TLS fails: the host may speak plain HTTP.
    #[error("TLS fails, as it does when the host speaks plain HTTP")]
    Tls,
    /// There is no answer in time.
    #[error("there is no answer after {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The connection broke off before the answer.
    #[error("the connection broke off before the answer")]
    Closed,
    /// What came is no HTTP.
    #[error("what came is no HTTP, as it is when the host speaks TLS")]
    NoHttp,
    /// The body that was to be sent failed.
    #[error("the body that was to be sent failed")]
    Body,
    /// It redirects to where we do not go.
    #[error("it redirects to where requests are not sent")]
    Redirect,
    /// Something else.
    #[error("the exchange failed")]
    Other,
}

impl Cause {
    /// Tells whether the same may succeed later.
    pub const fn is_transient(self) -> bool {
        match self {
            Self::NameUnknown
            | Self::ConnectionRefused
            | Self::Unreachable
            | Self::Timeout(_)
            | Self::Closed => true,
            Self::CertificateUntrusted
            | Self::Tls
            | Self::NoHttp
            | Self::Body
            | Self::Redirect
            | Self::Other => false,
        }
    }

    /// Finds out what a client's error is.
    pub(crate) fn of(error: &hyper_util::client::legacy::Error, body_failed: bool) -> Self {
        if error.is_connect() { Self::of_connect(error) } else { Self::of_exchange(error, body_failed) }
    }

    fn of_connect(error: &(dyn Error + 'static)) -> Self {
        let tls = find::<rustls::Error>(error);
        let io =
            chain(error).filter_map(|error| error.downcast_ref::<io::Error>()).last().map(io::Error::kind);
        // The resolver's error has no type of its own.
        let name = chain(error).any(|error| error.to_string() == "dns error");
        match (tls, io) {
            (Some(rustls::Error::InvalidCertificate(_)), _) => Self::CertificateUntrusted,
            (Some(_), _) => Self::Tls,
            _ if name => Self::NameUnknown,
            (None, Some(io::ErrorKind::ConnectionRefused)) => Self::ConnectionRefused,
            _ => Self::Unreachable,
        }
    }

    fn of_exchange(error: &(dyn Error + 'static), body_failed: bool) -> Self {
        let io =
            chain(error).filter_map(|error| error.downcast_ref::<io::Error>()).last().map(io::Error::kind);
        match find::<hyper::Error>(error) {
            _ if body_failed => Self::Body,
            Some(error) if error.is_parse() => Self::NoHttp,
            Some(error) if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
                Self::Closed
            }
            Some(error) if error.is_body_write_aborted() => Self::Closed,
            Some(_) if io.is_some() => Self::Closed,
            _ => Self::Other,
        }
    }
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        // The source of an IO error is that of what it wraps, which would be left out.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => (**error).source(),
        }
    })
}
