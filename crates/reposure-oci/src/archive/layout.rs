//! Reading an OCI layout, packed or not. Manifests and indexes stay byte for byte what they are.
//!
//! See the [image layout specification](https://github.com/opencontainers/image-spec/blob/main/image-layout.md).

use std::{collections::BTreeSet, sync::Arc};

use futures::future::BoxFuture;
use serde::Deserialize;

use super::{
    docker::LAYERS_LIMIT,
    parts::{ReadyPart, label},
    store::{Store, StoreError},
};
use crate::{
    digest::Digest,
    image::{Artifact, Image, Index, Layer, SourceError},
    manifest::{
        Descriptor, INDEX_DEPTH_LIMIT, ImageManifest, IndexManifest, MANIFEST_LIMIT, MANIFESTS_LIMIT,
        Manifest, ManifestError, Platform, RawManifest,
    },
    media_type::MediaType,
};

/// The file that makes a folder or archive a layout.
pub(crate) const LAYOUT_FILE: &str = "oci-layout";
/// The file that names a layout's images.
pub(crate) const INDEX_FILE: &str = "index.json";
/// The annotation that holds an image's tag, or all of its name.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that holds an image's full name, of containerd and docker.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// The largest `oci-layout`, in bytes: it holds a version.
pub(crate) const LAYOUT_FILE_LIMIT: u64 = 4096;

/// Why a layout cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file cannot be had.
    #[error("the OCI layout cannot be read")]
    Store(#[source] StoreError),
    /// The layout is of a version that is unknown here.
    #[error("the OCI layout is of version {0:?}, where 1.0.0 is known")]
    Version(String),
    /// There is no index.
    #[error("the OCI layout has no {INDEX_FILE}")]
    NoIndex,
    /// A manifest is damaged or malformed.
    #[error("manifest {digest} of the OCI layout cannot be used")]
    Manifest {
        /// The manifest's digest, as named.
        digest: Digest,
        /// What is wrong.
        #[source]
        source: ManifestError,
    },
    /// A blob has another size than its descriptor says.
    #[error("blob {digest} of the OCI layout has {actual} bytes instead of {expected}")]
    Size {
        /// The blob's digest, as named.
        digest: Digest,
        /// The size in the descriptor, in bytes.
        expected: u64,
        /// The file's size, in bytes.
        actual: u64,
    },
    /// Indexes are nested too deep.
    #[error("index {0} of the OCI layout is nested deeper than {INDEX_DEPTH_LIMIT} levels")]
    TooDeep(Digest),
    /// There are too many manifests.
    #[error("the OCI layout leads to more than {MANIFESTS_LIMIT} manifests")]
    TooManyManifests,
    /// There are too many layers.
    #[error("image {digest} of the OCI layout has {layers} layers, over the limit of {LAYERS_LIMIT}")]
    TooManyLayers {
        /// The manifest's digest.
        digest: Digest,
        /// How many layers there are.
        layers: usize,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

/// An image or index of a layout.
#[derive(Debug)]
pub(crate) struct Found {
    /// The descriptor in the layout's index.
    pub(crate) descriptor: Descriptor,
    /// What was reached from it.
    pub(crate) node: Node,
}

/// What is reached from a descriptor.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// The artifact, unless something is missing.
    pub(crate) artifact: Option<Artifact>,
    /// The images in it that are complete.
    pub(crate) images: Vec<Arc<LayoutImage>>,
    /// What is missing, in the order of digests.
    pub(crate) missing: BTreeSet<Digest>,
}

/// Tells whether the store holds a layout.
pub(crate) fn is_layout(store: &Store) -> Result<bool, StoreError> {
    Ok(store.find(LAYOUT_FILE)?.is_some())
}

/// Reads the layout's images.
pub(crate) fn read(store: &Store) -> Result<Vec<Found>, LayoutError> {
    let version = store.json::<LayoutFile>(LAYOUT_FILE, LAYOUT_FILE_LIMIT).map_err(LayoutError::Store)?;
    let version = version.map(|file| file.image_layout_version).unwrap_or_default();
    if !version.starts_with("1.") {
        return Err(LayoutError::Version(version));
    }
    let index = store.json::<IndexManifest>(INDEX_FILE, MANIFEST_LIMIT as u64).map_err(LayoutError::Store)?;
    let mut walk = Walk { store, visited: 0 };
    let found = |descriptor: Descriptor| {
        let node = walk.node(&descriptor, 0)?;
        Ok(Found { descriptor, node })
    };
    index.ok_or(LayoutError::NoIndex)?.manifests.into_iter().map(found).collect()
}

struct Walk<'a> {
    store: &'a Store,
    visited: usize,
}

impl Walk<'_> {
    fn node(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Node, LayoutError> {
        self.visited += 1;
        if self.visited > MANIFESTS_LIMIT {
            return Err(LayoutError::TooManyManifests);
        }
        if depth > INDEX_DEPTH_LIMIT {
            return Err(LayoutError::TooDeep(descriptor.digest.clone()));
        }
        let Some(manifest) = self.manifest(descriptor)? else {
            return Ok(Node { missing: [descriptor.digest.clone()].into(), ..Node::default() });
        };
        let malformed = |source| LayoutError::Manifest { digest: descriptor.digest.clone(), source };
        match manifest.parse().map_err(malformed)? {
            Manifest::Image(image) => self.image(manifest, &image, descriptor.platform.clone()),
            Manifest::Index(index) => self.index(manifest, &index, depth),
        }
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Option<RawManifest>, LayoutError> {
        let digest = &descriptor.digest;
        let content = self.store.find(&blob_path(digest)).map_err(LayoutError::Store)?;
        let Some(content) = content else { return Ok(None) };
        check_size(descriptor, content.size)?;
        let bytes = content.read(MANIFEST_LIMIT as u64).map_err(LayoutError::Store)?;
        let manifest = RawManifest::verified(descriptor.media_type.clone(), bytes, digest);
        manifest.map(Some).map_err(|source| LayoutError::Manifest { digest: digest.clone(), source })
    }

    fn index(
        &mut self,
        manifest: RawManifest,
        index: &IndexManifest,
        depth: usize,
    ) -> Result<Node, LayoutError> {
        let mut node = Node::default();
        let mut children = Vec::new();
        for child in &index.manifests {
            let child = self.node(child, depth + 1)?;
            children.extend(child.artifact);
            node.images.extend(child.images);
            node.missing.extend(child.missing);
        }
        if node.missing.is_empty() {
            node.artifact = Some(Artifact::Index(Arc::new(LayoutIndex { manifest, children })));
        }
        Ok(node)
    }

    fn image(
        &self,
        manifest: RawManifest,
        parsed: &ImageManifest,
        platform: Option<Platform>,
    ) -> Result<Node, LayoutError> {
        if parsed.layers.len() > LAYERS_LIMIT {
            let digest = manifest.digest().clone();
            return Err(LayoutError::TooManyLayers { digest, layers: parsed.layers.len() });
        }
        let mut parts: Vec<Arc<dyn Layer>> = Vec::new();
        let mut missing = BTreeSet::new();
        let labels =
            std::iter::once("config".into()).chain(parsed.layers.iter().map(|layer| label(&layer.digest)));
        for (descriptor, label) in std::iter::once(&parsed.config).chain(&parsed.layers).zip(labels) {
            match self.part(descriptor, label)? {
                Some(part) => parts.push(Arc::new(part)),
                None if descriptor.media_type.is_foreign() => {}
                None => _ = missing.insert(descriptor.digest.clone()),
            }
        }
        if !missing.is_empty() {
            return Ok(Node { missing, ..Node::default() });
        }
        let is_plain = |layer: &Descriptor| layer.media_type == MediaType::OCI_LAYER;
        let has_plain_layers = parsed.layers.iter().any(is_plain);
        let config = parsed.config.digest.clone();
        let image = LayoutImage { manifest, config, platform, has_plain_layers, parts };
        let image = Arc::new(image);
        Ok(Node { artifact: Some(Artifact::Image(image.clone())), images: vec![image], missing })
    }

    fn part(&self, descriptor: &Descriptor, label: String) -> Result<Option<ReadyPart>, LayoutError> {
        let content = self.store.find(&blob_path(&descriptor.digest)).map_err(LayoutError::Store)?;
        let Some(content) = content else { return Ok(None) };
        check_size(descriptor, content.size)?;
        Ok(Some(ReadyPart::new(label, content.blob(descriptor.clone()))))
    }
}

/// Returns where a layout holds a blob.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

fn check_size(descriptor: &Descriptor, actual: u64) -> Result<(), LayoutError> {
    let (digest, expected) = (descriptor.digest.clone(), descriptor.size);
    if actual == expected { Ok(()) } else { Err(LayoutError::Size { digest, expected, actual }) }
}

/// An image of a layout.
#[derive(Debug)]
pub(crate) struct LayoutImage {
    manifest: RawManifest,
    /// The configuration's digest.
    pub(crate) config: Digest,
    /// The platform that its index says it is of.
    pub(crate) platform: Option<Platform>,
    /// Whether a layer is uncompressed.
    pub(crate) has_plain_layers: bool,
    parts: Vec<Arc<dyn Layer>>,
}

impl Image for LayoutImage {
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

#[derive(Debug)]
struct LayoutIndex {
    manifest: RawManifest,
    children: Vec<Artifact>,
}

impl Index for LayoutIndex {
    fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    fn children(&self) -> &[Artifact] {
        &self.children
    }
}
