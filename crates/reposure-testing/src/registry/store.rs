//! What the registry holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::digest::sha256;

/// A manifest.
#[derive(Clone, Debug)]
pub(crate) struct StoredManifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

/// A blob on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upload {
    pub(crate) repository: String,
    pub(crate) bytes: Vec<u8>,
    /// How many bytes are said to be there and are not.
    pub(crate) claimed: usize,
    pub(crate) patches: usize,
}

/// Everything, by repository and digest.
#[derive(Debug, Default)]
pub(crate) struct Store {
    repositories: BTreeSet<String>,
    projects: BTreeSet<String>,
    blobs: HashMap<(String, String), Bytes>,
    manifests: HashMap<(String, String), StoredManifest>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
    /// What a tag was ever of, the newest last, by repository and tag.
    histories: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    pub(crate) uploads: HashMap<String, Upload>,
    next_upload: u64,
}

impl Store {
    pub(crate) fn put_blob(&mut self, repository: &str, bytes: Bytes) -> String {
        let digest = sha256(&bytes);
        self.put_blob_as(repository, &digest, bytes);
        digest
    }

    /// Stores bytes under a digest that they need not have.
    pub(crate) fn put_blob_as(&mut self, repository: &str, digest: &str, bytes: Bytes) {
        self.repositories.insert(repository.into());
        self.blobs.insert((repository.into(), digest.into()), bytes);
    }

    pub(crate) fn blob(&self, repository: &str, digest: &str) -> Option<Bytes> {
        self.blobs.get(&(repository.into(), digest.into())).cloned()
    }

    pub(crate) fn blob_anywhere(&self, digest: &str) -> Option<Bytes> {
        self.blobs.iter().find(|((_, own), _)| own == digest).map(|(_, blob)| blob.clone())
    }

    /// Tells whether a tag is of a manifest.
    pub(crate) fn is_tagged(&self, repository: &str, digest: &str) -> bool {
        self.tags.get(repository).is_some_and(|tags| tags.values().any(|tagged| tagged == digest))
    }

    /// Returns what each tag of a repository was ever of.
    pub(crate) fn histories(&self, repository: &str) -> BTreeMap<String, Vec<String>> {
        self.histories.get(repository).cloned().unwrap_or_default()
    }

    /// Tells whether a repository holds more than blobs.
    pub(crate) fn has_manifests(&self, repository: &str) -> bool {
        self.manifests.keys().any(|(own, _)| own == repository)
    }

    /// Returns the repositories that hold more than blobs, in order.
    pub(crate) fn with_manifests(&self) -> BTreeSet<String> {
        self.manifests.keys().map(|(own, _)| own.clone()).collect()
    }

    /// Returns the digests of the manifests of a repository.
    pub(crate) fn digests(&self, repository: &str) -> BTreeSet<String> {
        self.manifests.keys().filter(|(own, _)| own == repository).map(|(_, digest)| digest.clone()).collect()
    }

    pub(crate) fn delete_blob(&mut self, repository: &str, digest: &str) -> bool {
        self.blobs.remove(&(repository.into(), digest.into())).is_some()
    }

    pub(crate) fn put_manifest(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        manifest: StoredManifest,
    ) -> String {
        let digest = sha256(&manifest.bytes);
        self.repositories.insert(repository.into());
        self.manifests.insert((repository.into(), digest.clone()), manifest);
        if let Some(tag) = tag {
            self.tags.entry(repository.into()).or_default().insert(tag.into(), digest.clone());
            let history = self.histories.entry(repository.into()).or_default().entry(tag.into()).or_default();
            if history.last() != Some(&digest) {
                history.push(digest.clone());
            }
        }
        digest
    }

    /// Returns a manifest by tag or digest.
    pub(crate) fn manifest(&self, repository: &str, reference: &str) -> Option<StoredManifest> {
        let digest = self.resolve(repository, reference)?;
        self.manifests.get(&(repository.into(), digest)).cloned()
    }

    /// Returns the manifests of a repository, in the order of their digests.
    pub(crate) fn manifests(&self, repository: &str) -> Vec<StoredManifest> {
        let own = self.manifests.iter().filter(|((of, _), _)| of == repository);
        let sorted: BTreeMap<_, _> = own.map(|((_, digest), manifest)| (digest, manifest)).collect();
        sorted.into_values().cloned().collect()
    }

    fn resolve(&self, repository: &str, reference: &str) -> Option<String> {
        if reference.contains(':') {
            Some(reference.into())
        } else {
            self.tags.get(repository)?.get(reference).cloned()
        }
    }

    pub(crate) fn delete_tag(&mut self, repository: &str, tag: &str) -> bool {
        if let Some(histories) = self.histories.get_mut(repository) {
            histories.remove(tag);
        }
        self.tags.get_mut(repository).is_some_and(|tags| tags.remove(tag).is_some())
    }

    /// Deletes a manifest and every tag of it.
    pub(crate) fn delete_manifest(&mut self, repository: &str, digest: &str) -> bool {
        if let Some(tags) = self.tags.get_mut(repository) {
            tags.retain(|_, tagged| tagged != digest);
        }
        self.manifests.remove(&(repository.into(), digest.into())).is_some()
    }

    /// Returns the tags of a repository that is known.
    pub(crate) fn tags(&self, repository: &str) -> Option<Vec<String>> {
        let known = self.repositories.contains(repository);
        known
            .then(|| self.tags.get(repository).map(|tags| tags.keys().cloned().collect()).unwrap_or_default())
    }

    pub(crate) fn make_repository(&mut self, name: &str) {
        self.repositories.insert(name.into());
    }

    pub(crate) fn has_repository(&self, name: &str) -> bool {
        self.repositories.contains(name)
    }

    pub(crate) fn make_project(&mut self, name: &str) {
        self.projects.insert(name.into());
    }

    /// Tells whether there is a project, which a repository in it proves.
    pub(crate) fn has_project(&self, name: &str) -> bool {
        let is_in = |repository: &String| repository.split_once('/').is_some_and(|(own, _)| own == name);
        self.projects.contains(name) || self.repositories.iter().any(is_in)
    }

    pub(crate) fn repositories(&self) -> Vec<String> {
        self.repositories.iter().cloned().collect()
    }

    pub(crate) fn open_upload(&mut self, repository: &str) -> String {
        self.next_upload += 1;
        let id = format!("upload-{}", self.next_upload);
        self.uploads.insert(id.clone(), Upload { repository: repository.into(), ..Upload::default() });
        id
    }
}
