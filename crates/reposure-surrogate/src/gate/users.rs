//! Who may come in, and with which right.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use reposure_parcel::wire::Right;

use super::htpasswd::{Entry, Hash};

/// How long the password before is good after a change. A Secret reaches the pods that mount it within some 90 s, each in its own time:
/// a surrogate may show the old password that long, and whoever has it loses it within 3 minutes all the same, with the few seconds
/// until files are looked at.
const OLD_PASSWORD: Duration = Duration::from_secs(80);

/// Those who may come in.
#[derive(Debug, Default)]
pub(super) struct Users(HashMap<String, User>);

#[derive(Debug)]
struct User {
    right: Right,
    hash: Hash,
    /// The hash before, and until when it is good.
    before: Option<(Hash, Instant)>,
}

/// What a name and a password are good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The right; none if they are wrong.
    pub(super) right: Option<Right>,
    /// When that ends.
    pub(super) until: Option<Instant>,
}

impl Verdict {
    pub(super) const WRONG: Self = Self { right: None, until: None };
}

impl Users {
    /// Makes the table of those who may do everything and those who may but pull, of which a name that is in both is none.
    ///
    /// Where one's password changed, the one in `before` is good for a while. Who was in `before` alone is out at once.
    pub(super) fn new(all: Vec<Entry>, pull: Vec<Entry>, before: &Self, now: Instant) -> Self {
        let entries = |entries: Vec<Entry>, right| entries.into_iter().map(move |entry| (entry, right));
        let mut users = HashMap::new();
        for (Entry { name, hash }, right) in entries(pull, Right::Pull).chain(entries(all, Right::Admin)) {
            let before = before.0.get(&name).and_then(|user| user.before(&hash, now));
            users.insert(name, User { right, hash, before });
        }
        Self(users)
    }

    /// Returns how many they are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Compares a password with hashes. It takes as long as they cost, on the thread that calls.
    pub(super) fn verify(&self, name: &str, password: &str, now: Instant) -> Verdict {
        let Some(user) = self.0.get(name) else {
            // Who guesses names is not to learn from the clock which there are.
            if let Some(any) = self.0.values().next() {
                any.hash.is_of(password);
            }
            return Verdict::WRONG;
        };
        if user.hash.is_of(password) {
            return Verdict { right: Some(user.right), until: None };
        }
        match &user.before {
            Some((hash, until)) if *until > now && hash.is_of(password) => {
                Verdict { right: Some(user.right), until: Some(*until) }
            }
            _ => Verdict::WRONG,
        }
    }
}

impl User {
    /// Returns what is good beside a hash that comes now.
    fn before(&self, hash: &Hash, now: Instant) -> Option<(Hash, Instant)> {
        if self.hash == *hash {
            return self.before.clone().filter(|(_, until)| *until > now);
        }
        Some((self.hash.clone(), now + OLD_PASSWORD))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::htpasswd::parse;

    fn entry(name: &str, password: &str) -> Vec<Entry> {
        parse(format!("{name}:{}", bcrypt::hash(password, 4).unwrap()).as_bytes()).0
    }

    #[test]
    fn an_old_password_is_good_for_a_while_and_of_those_who_stay() {
        let now = Instant::now();
        let all = [entry("ann", "one"), entry("bob", "one")].concat();
        let first = Users::new(all, entry("ann", "pull"), &Users::default(), now);
        assert_eq!(first.verify("ann", "one", now).right, Some(Right::Admin));
        assert_eq!(first.verify("ann", "pull", now), Verdict::WRONG);

        let second = Users::new(entry("ann", "two"), Vec::new(), &first, now);
        assert_eq!(second.verify("ann", "two", now), Verdict { right: Some(Right::Admin), until: None });
        let until = now + OLD_PASSWORD;
        assert_eq!(
            second.verify("ann", "one", now),
            Verdict { right: Some(Right::Admin), until: Some(until) }
        );
        assert_eq!(second.verify("ann", "one", until), Verdict::WRONG);
        assert_eq!(second.verify("bob", "one", now), Verdict::WRONG);

        // The right is the one of now, whichever the password.
        let third = Users::new(Vec::new(), entry("ann", "three"), &second, now);
        assert_eq!(third.verify("ann", "two", now).right, Some(Right::Pull));
        assert_eq!(third.verify("ann", "one", now), Verdict::WRONG);
    }
}
