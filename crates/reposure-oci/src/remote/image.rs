use std::sync::Arc;

use futures::future::BoxFuture;

use crate::{
    image::{Artifact, Image, Index, Layer, SourceError},
    manifest::RawManifest,
};

/// An image of another registry.
#[derive(Debug)]
pub(super) struct RemoteImage {
    pub(super) manifest: RawManifest,
    pub(super) parts: Vec<Arc<dyn Layer>>,
}

impl Image for RemoteImage {
    fn parts(&self) -> &[Arc<dyn Layer>] {
        &self.parts
    }

    fn manifest(&self) -> BoxFuture<'_, Result<RawManifest, SourceError>> {
        Box::pin(std::future::ready(Ok(self.manifest.clone())))
    }

    fn ready_manifest(&self) -> Option<&RawManifest> {
        Some(&self.manifest)
    }
}

/// An index of another registry.
#[derive(Debug)]
pub(super) struct RemoteIndex {
    pub(super) manifest: RawManifest,
    pub(super) children: Vec<Artifact>,
}

impl Index for RemoteIndex {
    fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    fn children(&self) -> &[Artifact] {
        &self.children
    }
}
