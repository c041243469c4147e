//! The manifests of an image, as far as they can be had.

use std::{collections::HashSet, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use reposure_oci::{
    Descriptor, Digest, ImageName, Manifest, RawManifest, Reference, manifest::ImageManifest, registry,
};

use super::fault::{Fault, Problem};
use crate::{pull::PullError, session::Session};

/// How deep indexes may be nested, as where they are pulled.
const INDEX_DEPTH: usize = 4;
/// How many manifests an image may consist of, as where it is pulled.
const MANIFESTS: usize = 1024;

/// What was found on the way through the manifests.
pub(super) struct Walk {
    client: registry::Client<Arc<Session>>,
    name: ImageName,
    seen: HashSet<Digest>,
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
        let root = root.map_err(|source| PullError::Manifest { name: name.clone(), source })?;
        let mut walk = Self {
            client,
            name: name.clone(),
            seen: HashSet::new(),
            root: root.digest().clone(),
            images: Vec::new(),
            manifests: 0,
            faults: Vec::new(),
        };
        walk.seen.insert(walk.root.clone());
        walk.take(&root, INDEX_DEPTH).await?;
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
            if !self.seen.insert(child.digest.clone()) {
                return Ok(());
            }
            if depth == 0 || self.seen.len() > MANIFESTS {
                self.fault(&child.digest, Problem::TooMany);
                return Ok(());
            }
            let Some(manifest) = self.fetch(&child.digest).await? else { return Ok(()) };
            let (expected, actual) = (child.size, manifest.bytes().len() as u64);
            if actual != expected {
                self.fault(&child.digest, Problem::Size { expected, actual });
            }
            self.take(&manifest, depth - 1).await
        }
        .boxed()
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
                Err(PullError::Manifest { name, source })
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
