//! Which blobs the registry has just been asked for in vain, so that it is not asked twice before each one is sent.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reposure_oci::{Digest, RepositoryName};
use tokio::time::Instant;

/// How long an answer holds: a client sends what is missing at once, and what another one has brought meanwhile is sent in vain.
const AGE: Duration = Duration::from_secs(10);
/// The most answers that are kept: some 200 KiB of memory.
const ANSWERS: usize = 1024;

/// Which blobs a repository did not have a moment ago.
#[derive(Debug, Default)]
pub(super) struct Lacking(Mutex<HashMap<(RepositoryName, Digest), Instant>>);

impl Lacking {
    /// Notes that the repository does not hold the blob. There is no room for it where many were asked for just now.
    pub(super) fn note(&self, digest: &Digest, repository: &RepositoryName) {
        // Nothing can panic while it is held.
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS {
            answers.retain(|_, asked| asked.elapsed() < AGE);
        }
        if answers.len() < ANSWERS {
            answers.insert((repository.clone(), digest.clone()), Instant::now());
        }
    }

    /// Tells whether the blob was missing just now. It is told once: whoever comes again wants to know what has become of it.
    pub(super) fn take(&self, digest: &Digest, repository: &RepositoryName) -> bool {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = answers.remove(&(repository.clone(), digest.clone()));
        asked.is_some_and(|asked| asked.elapsed() < AGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_once_and_for_its_repository() {
        let (lacking, digest) = (Lacking::default(), Digest::sha256_of("blob"));
        let (one, two): (RepositoryName, RepositoryName) = ("one".parse().unwrap(), "two".parse().unwrap());
        lacking.note(&digest, &one);
        assert!(!lacking.take(&digest, &two));
        assert!(lacking.take(&digest, &one));
        assert!(!lacking.take(&digest, &one));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let (lacking, name) = (Lacking::default(), "one".parse().unwrap());
        for number in 0..=ANSWERS {
            lacking.note(&Digest::sha256_of(number.to_string()), &name);
        }
        assert_eq!(lacking.0.lock().unwrap().len(), ANSWERS);
        let old = Instant::now().checked_sub(AGE).unwrap();
        lacking.0.lock().unwrap().values_mut().for_each(|asked| *asked = old);
        assert!(!lacking.take(&Digest::sha256_of("0"), &name), "it is too old");
        let new = Digest::sha256_of("new");
        lacking.note(&new, &name);
        assert!(lacking.take(&new, &name), "those that are too old make room");
    }
}
