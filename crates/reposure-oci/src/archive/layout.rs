//! Reading an OCI layout, packed or not. Manifests and indexes stay byte for byte what they are.
//!
//! See the [image layout specification](https://github.com/opencontainers/image-spec/blob/main/image-layout.md).

use std::{collections::BTreeSet, sync::Arc};

use futures::future::BoxFuture;
use serde::Deserialize;

use super::{
    docker::LAYERS_LIMIT,
    parts::{ReadyPart, label},
    place::MemberPlace,
    store::{Content, Store, StoreError},
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
    #[error(transparent)]
    Store(StoreError),
    /// The layout is of a version that is unknown here.
    #[error("{file} says version {version:?}, where 1.0.0 is known")]
    Version {
        /// The file that says so.
        file: MemberPlace,
        /// The version.
        version: String,
    },
    /// There is no index.
    #[error("the OCI layout has no {INDEX_FILE}")]
    NoIndex,
    /// A manifest is damaged or malformed.
    #[error("manifest {file} cannot be used")]
    Manifest {
        /// The manifest.
        file: MemberPlace,
        /// What is wrong.
        #[source]
        source: ManifestError,
    },
    /// A blob has another size than its descriptor says.
    #[error("{file} has {actual} bytes instead of {expected}")]
    Size {
        /// The blob.
        file: MemberPlace,
        /// The size in the descriptor, in bytes.
        expected: u64,
        /// The file's size, in bytes.
        actual: u64,
    },
    /// Indexes are nested too deep.
    #[error("manifest {0} is nested deeper than {INDEX_DEPTH_LIMIT} levels")]
    TooDeep(MemberPlace),
    /// There are too many manifests.
    #[error("{0} leads to more than {MANIFESTS_LIMIT} manifests")]
    TooManyManifests(MemberPlace),
    /// There are too many layers.
    #[error("manifest {file} has {layers} layers, over the limit of {LAYERS_LIMIT}")]
    TooManyLayers {
        /// The manifest.
        file: MemberPlace,
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
    /// The layout's index.
    pub(crate) index: MemberPlace,
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
    if let Some((LayoutFile { image_layout_version: version }, file)) = version
        && !version.starts_with("1.")
    {
        return Err(LayoutError::Version { file, version });
    }
    let index = store.json::<IndexManifest>(INDEX_FILE, MANIFEST_LIMIT as u64).map_err(LayoutError::Store)?;
    let (index, file) = index.ok_or(LayoutError::NoIndex)?;
    let mut walk = Walk { store, index: file.clone(), visited: 0 };
    let found = |descriptor: Descriptor| {
        let node = walk.node(&descriptor, 0)?;
        Ok(Found { index: file.clone(), descriptor, node })
    };
    index.manifests.into_iter().map(found).collect()
}

struct Walk<'a> {
    store: &'a Store,
    index: MemberPlace,
    visited: usize,
}

impl Walk<'_> {
    fn node(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Node, LayoutError> {
        self.visited += 1;
        if self.visited > MANIFESTS_LIMIT {
            return Err(LayoutError::TooManyManifests(self.index.clone()));
        }
        let Some(content) = self.find(descriptor)? else {
            return Ok(Node { missing: [descriptor.digest.clone()].into(), ..Node::default() });
        };
        let file = content.place();
        if depth > INDEX_DEPTH_LIMIT {
            return Err(LayoutError::TooDeep(file));
        }
        let bytes = content.read(MANIFEST_LIMIT as u64).map_err(LayoutError::Store)?;
        let manifest = RawManifest::verified(descriptor.media_type.clone(), bytes, &descriptor.digest);
        let unusable = |source| LayoutError::Manifest { file: file.clone(), source };
        let manifest = manifest.map_err(unusable)?;
        match manifest.parse().map_err(unusable)? {
            Manifest::Image(image) if image.layers.len() > LAYERS_LIMIT => {
                Err(LayoutError::TooManyLayers { file, layers: image.layers.len() })
            }
            Manifest::Image(image) => self.image(manifest, &image, descriptor.platform.clone()),
            Manifest::Index(index) => self.index(manifest, &index, depth),
        }
    }

    /// Finds a blob, which must have the size that is said of it.
    fn find(&self, descriptor: &Descriptor) -> Result<Option<Content>, LayoutError> {
        let content = self.store.find(&blob_path(&descriptor.digest)).map_err(LayoutError::Store)?;
        match content {
            Some(content) if content.size != descriptor.size => {
                let (expected, actual) = (descriptor.size, content.size);
                Err(LayoutError::Size { file: content.place(), expected, actual })
            }
            content => Ok(content),
        }
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
        let content = self.find(descriptor)?;
        Ok(content.map(|content| ReadyPart::new(label, content.blob(descriptor.clone()))))
    }
}

/// Returns where a layout holds a blob.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
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
