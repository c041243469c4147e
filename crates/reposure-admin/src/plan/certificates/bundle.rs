//! The authorities that clients are told to trust, and since when.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::read::Certificate;

/// How long a new authority is told of before anything is signed by it, and an old one after nothing is any more. Surrogates see a changed
/// Secret within two minutes; whoever gives `ca.crt` to nodes does so by a job that runs daily, or by hand in a working week.
pub const SPREAD: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The most authorities that are told of; of older ones those go first that were there first.
const MOST: usize = 8;

/// The authorities that clients are told to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    certificates: Vec<Certificate>,
    /// When the newest of them came.
    since: Timestamp,
}

impl Bundle {
    /// Takes what a Secret holds. Where it does not say since when, it may be since just `now`.
    pub(super) fn of(pem: &[u8], since: Option<Timestamp>, now: Timestamp) -> Self {
        // A time to come is one of a clock that was wrong.
        Self { certificates: Certificate::all(pem), since: since.unwrap_or(now).min(now) }
    }

    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    /// Returns when those who trust the bundle may be taken to know all that is in it.
    pub(super) fn spread(&self) -> Timestamp {
        self.since.saturating_add(SPREAD).unwrap_or(Timestamp::MAX)
    }

    /// Tells whether those who trust the bundle may be taken to know `authority`.
    pub(super) fn has_spread(&self, authority: &Certificate, now: Timestamp) -> bool {
        self.certificates.contains(authority) && self.spread() <= now
    }

    /// Returns the bundle with `authorities` first, and then those that are there and in their time.
    pub(super) fn with(&self, authorities: &[&Certificate], now: Timestamp) -> Self {
        let is_new = authorities.iter().any(|authority| !self.certificates.contains(authority));
        let mut certificates: Vec<_> = authorities.iter().copied().cloned().collect();
        for old in self.certificates.iter().filter(|old| now < old.end) {
            if !certificates.contains(old) {
                certificates.push(old.clone());
            }
        }
        certificates.truncate(MOST);
        Self { certificates, since: if is_new { now } else { self.since } }
    }

    /// Returns the bundle of `authorities` alone.
    pub(super) fn only(&self, authorities: &[&Certificate], now: Timestamp) -> Self {
        let certificates = authorities.iter().copied().cloned().collect();
        Self { certificates, since: self.with(authorities, now).since }
    }

    pub(super) const fn len(&self) -> usize {
        self.certificates.len()
    }

    pub(super) fn pem(&self) -> String {
        self.certificates.iter().map(Certificate::pem).collect()
    }
}
