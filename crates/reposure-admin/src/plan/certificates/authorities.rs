//! The authority that signs, and the one that is to follow it.

use k8s_openapi::{api::core::v1::Secret, jiff::Timestamp};

use super::{
    CertificateError,
    bundle::Bundle,
    issue::{self, Pair},
    read::Certificate,
    secrets,
};

/// The authority that signs, and the one that is to follow it.
pub(super) struct Authorities {
    pub(super) signing: Pair,
    pub(super) next: Option<Pair>,
    /// Whether they differ from what is kept.
    pub(super) changed: bool,
}

impl Authorities {
    /// Takes those of a Secret; makes one where there is none.
    pub(super) fn of(
        secret: Option<&Secret>,
        namespace: &str,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        match secret {
            Some(secret) => secrets::authorities(secret),
            None => Ok(Self { signing: issue::authority(namespace, now)?, next: None, changed: true }),
        }
    }

    /// Makes one that is to follow, when it is time; lets it follow, when all who trust `bundle` know it, or there is no other any more.
    pub(super) fn renew(
        &mut self,
        bundle: Option<&Bundle>,
        namespace: &str,
        now: Timestamp,
    ) -> Result<(), CertificateError> {
        if self.next.is_none() && now >= self.signing.certificate.renewal() {
            self.next = Some(issue::authority(namespace, now)?);
            self.changed = true;
        }
        let is_over = now >= self.signing.certificate.end;
        let knows = |next: &Pair| bundle.is_none_or(|bundle| bundle.has_spread(&next.certificate, now));
        if let Some(next) = self.next.take_if(|next| is_over || knows(next)) {
            self.signing = next;
            self.changed = true;
        }
        Ok(())
    }

    /// Returns the certificates, the one that signs first.
    pub(super) fn certificates(&self) -> Vec<&Certificate> {
        [Some(&self.signing), self.next.as_ref()]
            .into_iter()
            .flatten()
            .map(|pair| &pair.certificate)
            .collect()
    }
}
