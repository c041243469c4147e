//! Tickets: leave to read single blobs, or to send the chunks of an upload, without TLS.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reposure_oci::{Digest, RepositoryName};
use reposure_parcel::ticket::AGE;
use ring::{
    digest::SHA256_OUTPUT_LEN,
    hmac::{self, HMAC_SHA256},
    rand::SystemRandom,
};

use crate::identifier::Identifier;

/// The length of the time at the start of a ticket, in bytes.
const TIME: usize = 8;

/// Gives tickets and knows its own again; they end with it.
///
/// A ticket is the time until which it holds, in seconds, and an HMAC of that time and of what it is for.
pub(crate) struct TicketOffice {
    key: hmac::Key,
}

impl TicketOffice {
    /// Opens an office with a key of its own; `None` where the system has no randomness.
    pub(crate) fn new() -> Option<Self> {
        hmac::Key::generate(HMAC_SHA256, &SystemRandom::new()).ok().map(|key| Self { key })
    }

    /// Gives a ticket to read one blob.
    pub(crate) fn ticket(&self, repository: &RepositoryName, digest: &Digest, now: SystemTime) -> String {
        self.give(&blob(repository, digest), now)
    }

    /// Gives a ticket to send the chunks of one upload.
    pub(crate) fn upload_ticket(&self, upload: &Identifier, now: SystemTime) -> String {
        self.give(&chunks(upload), now)
    }

    fn give(&self, leave: &str, now: SystemTime) -> String {
        let until = seconds(now + AGE).to_be_bytes();
        let seal = hmac::sign(&self.key, &sealed(until, leave));
        URL_SAFE_NO_PAD.encode([&until, seal.as_ref()].concat())
    }

    /// Tells whether a ticket is for this blob and holds.
    pub(crate) fn admits(
        &self,
        ticket: &str,
        repository: &RepositoryName,
        digest: &Digest,
        now: SystemTime,
    ) -> bool {
        self.holds(ticket, &blob(repository, digest), now)
    }

    /// Tells whether a ticket is for the chunks of this upload and holds.
    pub(crate) fn admits_chunk(&self, ticket: &str, upload: &Identifier, now: SystemTime) -> bool {
        self.holds(ticket, &chunks(upload), now)
    }

    fn holds(&self, ticket: &str, leave: &str, now: SystemTime) -> bool {
        let mut bytes = [0; TIME + SHA256_OUTPUT_LEN];
        if URL_SAFE_NO_PAD.decode_slice(ticket, &mut bytes) != Ok(bytes.len()) {
            return false;
        }
        let Some((until, seal)) = bytes.split_first_chunk::<TIME>() else { return false };
        // It is compared in constant time.
        hmac::verify(&self.key, &sealed(*until, leave), seal).is_ok()
            && seconds(now) < u64::from_be_bytes(*until)
    }
}

/// Names the leave to read a blob. No name or digest holds a space.
fn blob(repository: &RepositoryName, digest: &Digest) -> String {
    format!("{repository} {digest}")
}

/// Names the leave to send chunks: no repository has an empty name.
fn chunks(upload: &Identifier) -> String {
    format!(" {upload}")
}

/// Returns what a ticket's seal is of.
fn sealed(until: [u8; TIME], leave: &str) -> Vec<u8> {
    [&until, leave.as_bytes()].concat()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_for_one_blob_of_one_repository_and_for_its_time() {
        let (office, now) = (TicketOffice::new().unwrap(), SystemTime::now());
        let (app, other): (RepositoryName, RepositoryName) =
            ("app".parse().unwrap(), "other".parse().unwrap());
        let (blob, another) = (Digest::sha256_of(b"a"), Digest::sha256_of(b"b"));
        let ticket = office.ticket(&app, &blob, now);
        assert!(office.admits(&ticket, &app, &blob, now));
        assert!(office.admits(&ticket, &app, &blob, now + AGE - Duration::from_secs(1)));
        assert!(!office.admits(&ticket, &app, &blob, now + AGE));
        assert!(!office.admits(&ticket, &app, &another, now));
        assert!(!office.admits(&ticket, &other, &blob, now));
        assert!(!TicketOffice::new().unwrap().admits(&ticket, &app, &blob, now));
    }

    #[test]
    fn a_ticket_for_an_upload_is_for_no_other_and_for_no_blob() {
        let (office, now) = (TicketOffice::new().unwrap(), SystemTime::now());
        let (upload, other) = (Identifier::random(), Identifier::random());
        let ticket = office.upload_ticket(&upload, now);
        assert!(office.admits_chunk(&ticket, &upload, now));
        assert!(!office.admits_chunk(&ticket, &other, now));
        assert!(!office.admits_chunk(&ticket, &upload, now + AGE));
        let (app, blob): (RepositoryName, _) = ("app".parse().unwrap(), Digest::sha256_of(b"a"));
        assert!(!office.admits_chunk(&office.ticket(&app, &blob, now), &upload, now));
        assert!(!office.admits(&ticket, &app, &blob, now));
    }

    #[test]
    fn what_is_changed_is_no_ticket() {
        let (office, now) = (TicketOffice::new().unwrap(), SystemTime::now());
        let (app, blob): (RepositoryName, _) = ("app".parse().unwrap(), Digest::sha256_of(b"a"));
        let ticket = office.ticket(&app, &blob, now);
        let mut later = URL_SAFE_NO_PAD.decode(&ticket).unwrap();
        later[TIME - 2] ^= 1;
        for wrong in [
            "",
            "AAAA",
            &ticket[1..],
            &format!("{ticket}A"),
            &URL_SAFE_NO_PAD.encode(&later),
            &"A".repeat(4096),
        ] {
            assert!(!office.admits(wrong, &app, &blob, now), "{wrong}");
        }
    }
}
