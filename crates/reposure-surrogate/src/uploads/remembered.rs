//! Which repositories are known to hold a blob, to mount it from.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use reposure_oci::{Digest, RepositoryName};

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
pub(super) struct Remembered(Mutex<Table>);

impl Remembered {
    /// Notes that the repository holds the blob.
    pub(super) fn note(&self, digest: &Digest, repository: &RepositoryName) {
        // Nothing can panic while it is held.
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
    }

    /// Returns repositories that held the blob, the one that was last seen first.
    pub(super) fn repositories(&self, digest: &Digest) -> Vec<RepositoryName> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.repositories.get(digest).into_iter().flatten().cloned().collect()
    }

    /// Notes that the repository does not hold the blob.
    pub(super) fn forget(&self, digest: &Digest, repository: &RepositoryName) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(repositories) = table.repositories.get_mut(digest) {
            repositories.retain(|known| known != repository);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(remembered.0.lock().unwrap().repositories.len(), BLOBS);
    }
}
