//! The authorities that the registry is trusted by, and those before a change.

use std::time::{Duration, Instant};

use reposure_oci::direct::TrustAnchors;

/// How long authorities are trusted after a change that took them away. A registry with the same Secret sees the change up to 90 s later, each
/// looks at its files every few seconds, and our gate goes on to show the certificate before for 100 s (`gate::certificate`).
const REMEMBERED: Duration = Duration::from_secs(240);
/// How many changes are remembered: more within that time are no change but an unrest.
const MOST: usize = 4;

/// The authorities before a change, and until when they are trusted.
#[derive(Clone, Debug, Default)]
pub(super) struct Authorities(Vec<(Vec<u8>, Instant)>);

impl Authorities {
    /// Remembers what was trusted until `now`, unless that is the `new` one, and for as long again what is remembered already.
    pub(super) fn follow(&mut self, old: &TrustAnchors, new: &TrustAnchors, now: Instant) {
        let TrustAnchors::Pem(pem) = old else { return };
        if old != new {
            self.0.retain(|(known, _)| known != pem);
            self.0.push((pem.clone(), now + REMEMBERED));
            let surplus = self.0.len().saturating_sub(MOST);
            self.0.drain(..surplus);
        }
    }

    /// Forgets those whose time is over, and tells whether there were such.
    pub(super) fn forget(&mut self, now: Instant) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, until)| now < *until);
        self.0.len() < before
    }

    /// Returns what is to be trusted: what is trusted `now`, and beside it what was before.
    pub(super) fn beside(&self, now: &TrustAnchors) -> TrustAnchors {
        let TrustAnchors::Pem(pem) = now else { return now.clone() };
        let mut all = pem.clone();
        for (before, _) in self.0.iter().filter(|(before, _)| before != pem) {
            all.push(b'\n');
            all.extend_from_slice(before);
        }
        TrustAnchors::Pem(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(text: &str) -> TrustAnchors {
        TrustAnchors::Pem(text.into())
    }

    #[test]
    fn those_before_are_trusted_for_a_while() {
        let (mut before, now) = (Authorities::default(), Instant::now());
        before.follow(&pem("a"), &pem("a"), now);
        assert_eq!(before.beside(&pem("a")), pem("a"));
        before.follow(&pem("a"), &pem("b"), now);
        assert_eq!(before.beside(&pem("b")), pem("b\na"));
        let later = now + REMEMBERED / 2;
        before.follow(&pem("b"), &pem("a"), later);
        assert_eq!(before.beside(&pem("a")), pem("a\nb"), "each once");
        assert!(!before.forget(later));
        assert!(before.forget(now + REMEMBERED));
        assert_eq!(before.beside(&pem("a")), pem("a\nb"));
        assert!(before.forget(later + REMEMBERED));
        assert_eq!(before.beside(&pem("a")), pem("a"));
    }

    #[test]
    fn one_that_is_taken_away_again_is_trusted_for_as_long_again() {
        let (mut before, now) = (Authorities::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        before.follow(&pem("a"), &pem("b"), now);
        before.follow(&pem("b"), &pem("a"), at(60));
        before.follow(&pem("a"), &pem("c"), at(200));
        assert!(before.forget(at(310)));
        assert_eq!(before.beside(&pem("c")), pem("c\na"));
    }

    #[test]
    fn unrest_does_not_pile_up_and_the_systems_authorities_stand_for_themselves() {
        let (mut before, now) = (Authorities::default(), Instant::now());
        before.follow(&TrustAnchors::System, &pem("a"), now);
        assert_eq!(before.beside(&pem("a")), pem("a"));
        for text in ["a", "b", "c", "d", "e"] {
            before.follow(&pem(text), &pem("f"), now);
        }
        assert_eq!(before.beside(&pem("f")), pem("f\nb\nc\nd\ne"));
        assert_eq!(before.beside(&TrustAnchors::System), TrustAnchors::System);
    }
}
