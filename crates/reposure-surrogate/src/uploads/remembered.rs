//! Which repositories are known to hold a blob, to mount it from.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use reposure_oci::{Digest, RepositoryName};
use tokio::sync::Notify;

/// The most blobs that are remembered: some 1 MiB of memory.
const BLOBS: usize = 4096;
/// The most repositories that are remembered for one blob.
const REPOSITORIES: usize = 2;

#[derive(Debug, Default)]
struct Table {
    repositories: HashMap<Digest, VecDeque<RepositoryName>>,
    /// The digests, the one that was longest not seen first.
    order: VecDeque<Digest>,
}

/// Which repositories are known to hold a blob.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    table: Mutex<Table>,
    /// Says that there is a blob more.
    noted: Notify,
}

impl Remembered {
    /// Notes that the repository holds the blob.
    pub(super) fn note(&self, digest: &Digest, repository: &RepositoryName) {
        let mut table = self.lock();
        if !table.repositories.contains_key(digest) {
            if table.order.len() >= BLOBS
                && let Some(oldest) = table.order.pop_front()
            {
                table.repositories.remove(&oldest);
            }
            table.order.push_back(digest.clone());
        }
        let repositories = table.repositories.entry(digest.clone()).or_default();
        repositories.retain(|known| known != repository);
        repositories.push_front(repository.clone());
        repositories.truncate(REPOSITORIES);
        drop(table);
        self.noted.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing can panic while it is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the repository was known to hold each of the blobs.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub(super) async fn all(&self, digests: &[Digest], repository: &RepositoryName) {
        let is_held = |digest: &Digest| self.repositories(digest).contains(repository);
        let mut left: Vec<&Digest> = digests.iter().collect();
        loop {
            // From here on it is told of what is noted while it looks.
            let noted = self.noted.notified();
            // What was held once may make room for others meanwhile.
            left.retain(|digest| !is_held(digest));
            if left.is_empty() {
                return;
            }
            noted.await;
        }
    }

    /// Returns repositories that held the blob, the one that was last seen first.
    pub(super) fn repositories(&self, digest: &Digest) -> Vec<RepositoryName> {
        let table = self.lock();
        table.repositories.get(digest).into_iter().flatten().cloned().collect()
    }

    /// Notes that the repository does not hold the blob.
    pub(super) fn forget(&self, digest: &Digest, repository: &RepositoryName) {
        let mut table = self.lock();
        if let Some(repositories) = table.repositories.get_mut(digest) {
            repositories.retain(|known| known != repository);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_was_held_is_not_waited_for_again() {
        let remembered = Remembered::default();
        let names: Vec<RepositoryName> = ["a", "b", "c"].iter().map(|name| name.parse().unwrap()).collect();
        let both = ["first", "second"].map(Digest::sha256_of);
        let mut all = std::pin::pin!(remembered.all(&both, &names[0]));
        for name in &names {
            remembered.note(&both[0], name);
            assert!(futures::poll!(&mut all).is_pending());
        }
        assert!(!remembered.repositories(&both[0]).contains(&names[0]));
        remembered.note(&both[1], &names[0]);
        assert!(futures::poll!(&mut all).is_ready());
    }

    #[test]
    fn remembers_the_newest() {
        let remembered = Remembered::default();
        let names: Vec<RepositoryName> = ["a", "b", "c"].iter().map(|name| name.parse().unwrap()).collect();
        let first = Digest::sha256_of("first");
        for name in &names {
            remembered.note(&first, name);
        }
        assert_eq!(remembered.repositories(&first), [names[2].clone(), names[1].clone()]);
        remembered.forget(&first, &names[2]);
        assert_eq!(remembered.repositories(&first), [names[1].clone()]);
        for number in 0..BLOBS {
            remembered.note(&Digest::sha256_of(number.to_string()), &names[0]);
        }
        assert_eq!(remembered.repositories(&first), []);
        assert_eq!(remembered.lock().repositories.len(), BLOBS);
    }
}
