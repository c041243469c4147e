//! The manifests of an image, as far as they can be had.

use std::{collections::HashMap, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use reposure_oci::{
    Descriptor, Digest, ImageName, Manifest, RawManifest, Reference,
    manifest::{INDEX_DEPTH_LIMIT, ImageManifest, MANIFESTS_LIMIT},
    registry,
    remote::RemoteError,
};

use super::fault::{Fault, Problem};
use crate::{pull::PullError, session::Session};

/// What was found on the way through the manifests.
pub(super) struct Walk {
    client: registry::Client<Arc<Session>>,
    name: ImageName,
    /// The manifests that were asked for, and their sizes in bytes where they are there.
    seen: HashMap<Digest, Option<u64>>,
    /// The root's digest.
    pub(super) root: Digest,
    /// The manifests that are images, with their digests.
    pub(super) images: Vec<(Digest, ImageManifest)>,
    /// How many manifests were read.
    pub(super) manifests: usize,
    /// What is wrong.
    pub(super) faults: Vec<Fault>,
}

impl Walk {
    /// Reads all manifests of `name`, the first of which must be there.
    pub(super) async fn run(session: &Arc<Session>, name: &ImageName) -> Result<Self, PullError> {
        let client = registry::Client::new(session.clone());
        let root = client.get_manifest(&name.repository, &name.reference).await;
        let root = root.map_err(|source| RemoteError::Manifest { name: name.clone(), source })?;
        let mut walk = Self {
            client,
            name: name.clone(),
            seen: HashMap::new(),
            root: root.digest().clone(),
            images: Vec::new(),
            manifests: 0,
            faults: Vec::new(),
        };
        walk.seen.insert(walk.root.clone(), Some(root.bytes().len() as u64));
        walk.take(&root, INDEX_DEPTH_LIMIT).await?;
        Ok(walk)
    }

    fn fault(&mut self, digest: &Digest, problem: Problem) {
        self.faults.push(Fault { digest: digest.clone(), problem });
    }

    async fn take(&mut self, manifest: &RawManifest, depth: usize) -> Result<(), PullError> {
        self.manifests += 1;
        match manifest.parse() {
            Ok(Manifest::Image(image)) => self.images.push((manifest.digest().clone(), image)),
            Ok(Manifest::Index(index)) => {
                for child in &index.manifests {
                    self.child(child, depth).await?;
                }
            }
            Err(error) => self.fault(manifest.digest(), Problem::Malformed(error)),
        }
        Ok(())
    }

    fn child<'a>(&'a mut self, child: &'a Descriptor, depth: usize) -> BoxFuture<'a, Result<(), PullError>> {
        async move {
            if let Some(size) = self.seen.get(&child.digest).copied() {
                // Another index may say something else of it.
                self.compare(child, size);
                return Ok(());
            }
            self.seen.insert(child.digest.clone(), None);
            if depth == 0 || self.seen.len() > MANIFESTS_LIMIT {
                self.fault(&child.digest, Problem::TooMany);
                return Ok(());
            }
            let Some(manifest) = self.fetch(&child.digest).await? else { return Ok(()) };
            let size = Some(manifest.bytes().len() as u64);
            self.seen.insert(child.digest.clone(), size);
            self.compare(child, size);
            self.take(&manifest, depth - 1).await
        }
        .boxed()
    }

    fn compare(&mut self, child: &Descriptor, size: Option<u64>) {
        let expected = child.size;
        if let Some(actual) = size.filter(|actual| *actual != expected) {
            self.fault(&child.digest, Problem::Size { expected, actual });
        }
    }

    /// Fetches a manifest, unless it is not there or is something else.
    async fn fetch(&mut self, digest: &Digest) -> Result<Option<RawManifest>, PullError> {
        let reference = Reference::Digest(digest.clone());
        match self.client.get_manifest(&self.name.repository, &reference).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) if error.is_not_found() => {
                self.fault(digest, Problem::Missing);
                Ok(None)
            }
            Err(error) if is_of_content(&error) => {
                self.fault(digest, Problem::Manifest(error));
                Ok(None)
            }
            Err(source) => {
                let name = ImageName { repository: self.name.repository.clone(), reference };
                Err(RemoteError::Manifest { name, source }.into())
            }
        }
    }
}

/// Tells whether an error is of what the registry holds, and not of the way there.
fn is_of_content(error: &registry::Error) -> bool {
    matches!(
        &*error.failure,
        registry::Failure::Digest { .. }
            | registry::Failure::Size { .. }
            | registry::Failure::Manifest(_)
            | registry::Failure::Malformed(_)
            | registry::Failure::TooLarge(_)
            | registry::Failure::Header { .. }
    )
}
