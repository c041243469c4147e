//! What is to be written, and when there is something to be done again.

use k8s_openapi::{
    api::core::v1::Secret,
    jiff::{SignedDuration, Timestamp},
};

use super::{
    CertificateError, CertificateNames,
    authorities::Authorities,
    bundle::{Bundle, SPREAD},
    issue::{self, Pair},
    read::Certificate,
    secrets::{self, Server},
};

/// How long before its end a certificate is replaced in any case, whether all know the authority of the new one or not.
const LAST_CALL: SignedDuration = SignedDuration::from_hours(24);

/// The Secrets, as they are found. It has no `Debug`.
#[derive(Clone, Default)]
pub struct Found {
    /// `reposure-simple-ca`.
    pub authority: Option<Secret>,
    /// `reposure-simple-authentication`.
    pub certificate: Option<Secret>,
    /// Whether a certificate that cert-manager made for the built-in registry, and sees to no more, is to be replaced as one of ours is,
    /// and its authority at once.
    pub replace_cert_manager: bool,
}

/// How it is with the certificates of the built-in registry.
pub enum Certificates {
    /// The certificate is somebody else's, who renews it: there is nothing to be done.
    Foreign,
    /// It is ours.
    Ours(Outlook),
}

/// What is to be done with certificates of ours. It has no `Debug`, since it holds keys.
pub struct Outlook {
    /// The Secrets that are to be written, in this order: one with a version in place of that, the others are new.
    pub writes: Vec<Secret>,
    /// When the certificate ends that is shown once they are written.
    pub end: Timestamp,
    /// When there is something to be done again.
    pub next: Timestamp,
    /// When the certificate is replaced by one of another authority, if clients are still to learn of that.
    pub replaced: Option<Timestamp>,
}

/// Plans the certificates of the built-in registry as they should be at `now`: an authority of its own (Secret `reposure-simple-ca`) and a
/// certificate for `names` that it signs (Secret `reposure-simple-authentication`, with all authorities to be trusted as `ca.crt`).
///
/// - Both are renewed at two thirds of their lives.
/// - A certificate is replaced at once that is not in its time or not for `names`.
/// - One that another authority has signed, or that is of version 0.2 and signed by itself, is replaced when the authority has been in
///   `ca.crt` for [`SPREAD`], or a day before its end.
/// - What is not ours, or was changed by somebody else, is left alone.
///
/// Whatever of it is written, the next plan goes on from there.
///
/// # Errors
/// [`CertificateError`] if the system has no randomness, a name is none, or the authority's Secret is not ours or damaged.
pub fn simple_certificates(
    found: &Found,
    names: &CertificateNames,
    now: Timestamp,
) -> Result<Certificates, CertificateError> {
    let server = match &found.certificate {
        None => None,
        Some(secret) => match server_of(secret, found, now) {
            None => return Ok(Certificates::Foreign),
            server => server,
        },
    };
    let mut authorities = Authorities::of(authority_of(found), &names.namespace, now)?;
    authorities.renew(server.as_ref().map(|server| &server.bundle), &names.namespace, now)?;
    Plan { found, names, now, server, authorities }.outlook().map(Certificates::Ours)
}

/// Returns the Secret of the authorities, unless it is one of cert-manager's that is to be replaced.
fn authority_of(found: &Found) -> Option<&Secret> {
    let is_replaced = |secret: &&Secret| found.replace_cert_manager && secrets::is_of_cert_manager(secret);
    found.authority.as_ref().filter(|secret| !is_replaced(secret))
}

fn server_of(secret: &Secret, found: &Found, now: Timestamp) -> Option<Server> {
    let of_cert_manager =
        || found.replace_cert_manager.then(|| Server::of_cert_manager(secret, now)).flatten();
    Server::of(secret, now).or_else(of_cert_manager)
}

struct Plan<'a> {
    found: &'a Found,
    names: &'a CertificateNames,
    now: Timestamp,
    /// As it is found.
    server: Option<Server>,
    /// As they should be.
    authorities: Authorities,
}

impl Plan<'_> {
    fn outlook(self) -> Result<Outlook, CertificateError> {
        let new = match &self.server {
            Some(server) if self.stays(server) => None,
            _ => Some(issue::server(self.names, &self.authorities.signing, self.now)?),
        };
        let bundle = self.bundle(new.is_some());
        let shown = new.as_ref().map(|pair| &pair.certificate);
        let shown = shown.or(self.server.as_ref().map(|server| &server.certificate));
        // There is one or the other.
        let shown = shown.unwrap_or(&self.authorities.signing.certificate);
        let replaced = (!self.is_ours(shown)).then(|| last_call(shown, &bundle));
        let next = self.next(shown, &bundle, replaced);
        Ok(Outlook { end: shown.end, next, replaced, writes: self.writes(new.as_ref(), &bundle) })
    }

    fn is_ours(&self, certificate: &Certificate) -> bool {
        certificate.is_signed_by(&self.authorities.signing.certificate)
    }

    fn stays(&self, server: &Server) -> bool {
        let Server { certificate, bundle } = server;
        if !certificate.is_good(self.now) || !certificate.covers(self.names) {
            return false;
        }
        if self.is_ours(certificate) {
            return self.now < certificate.renewal();
        }
        let known = bundle.has_spread(&self.authorities.signing.certificate, self.now);
        !known && self.now < last_call(certificate, bundle)
    }

    fn bundle(&self, is_replaced: bool) -> Bundle {
        let authorities = self.authorities.certificates();
        let Some(Server { certificate, bundle }) = &self.server else {
            return Bundle::of(&[], None, self.now).with(&authorities, self.now);
        };
        let settled = !is_replaced && self.is_ours(certificate) && settled(certificate) <= self.now;
        if settled { bundle.only(&authorities, self.now) } else { bundle.with(&authorities, self.now) }
    }

    fn next(&self, shown: &Certificate, bundle: &Bundle, replaced: Option<Timestamp>) -> Timestamp {
        let authorities = &self.authorities;
        let mut times = vec![replaced.unwrap_or_else(|| shown.renewal())];
        times.push(match authorities.next {
            None => authorities.signing.certificate.renewal(),
            Some(_) => bundle.spread(),
        });
        if replaced.is_none() && bundle.len() > authorities.certificates().len() {
            times.push(settled(shown));
        }
        times.into_iter().min().unwrap_or(self.now)
    }

    fn writes(&self, new: Option<&Pair>, bundle: &Bundle) -> Vec<Secret> {
        let Self { found, names, .. } = self;
        let mut writes = Vec::new();
        if self.authorities.changed {
            let found = found.authority.as_ref();
            writes.push(secrets::of_authorities(&names.namespace, &self.authorities, found));
        }
        let is_told = self.server.as_ref().is_some_and(|server| server.bundle == *bundle);
        if new.is_some() || !is_told {
            writes.push(secrets::of_server(&names.namespace, new, bundle, found.certificate.as_ref()));
        }
        writes
    }
}

/// Returns when a certificate of another authority is replaced at the latest.
fn last_call(certificate: &Certificate, bundle: &Bundle) -> Timestamp {
    bundle.spread().min(certificate.end.saturating_sub(LAST_CALL).unwrap_or(certificate.end))
}

/// Returns when nobody is shown anything any more that was before `certificate`.
fn settled(certificate: &Certificate) -> Timestamp {
    certificate.begin.saturating_add(SPREAD).unwrap_or(certificate.end)
}
