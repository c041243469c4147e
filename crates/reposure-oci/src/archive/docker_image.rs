//! An image of a docker-archive: its manifest is made here, once its layers are known.

use std::sync::Arc;

use futures::future::{BoxFuture, try_join_all};

use super::{
    docker_layer::{DockerLayer, LayerError},
    parts::ReadyPart,
};
use crate::{
    image::{Image, Layer, SourceError},
    manifest::{Descriptor, ImageManifest, ManifestError, RawManifest},
    media_type::MediaType,
};

/// Why the manifest of an image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeManifestError {
    /// A layer cannot be had.
    #[error("the image has a layer that cannot be had")]
    Layer(#[source] LayerError),
    /// The manifest cannot be written as JSON.
    #[error("the manifest cannot be written")]
    Write(#[source] serde_json::Error),
    /// The manifest is too large.
    #[error("the manifest cannot be used")]
    Manifest(#[source] ManifestError),
}

/// An image of a docker-archive.
#[derive(Debug)]
pub(crate) struct DockerImage {
    parts: Vec<Arc<dyn Layer>>,
    config: Descriptor,
    layers: Vec<Arc<DockerLayer>>,
}

impl DockerImage {
    /// Takes a configuration and layers, the lowest first; one layer may be there several times.
    pub(crate) fn new(config: ReadyPart, layers: Vec<Arc<DockerLayer>>) -> Self {
        let descriptor = config.descriptor().clone();
        let mut parts: Vec<Arc<dyn Layer>> = vec![Arc::new(config)];
        parts.extend(layers.iter().map(|layer| layer.clone() as Arc<dyn Layer>));
        Self { parts, config: descriptor, layers }
    }

    async fn make_manifest(&self) -> Result<RawManifest, MakeManifestError> {
        // The layers' own workers bound how many are compressed at once.
        let layers = try_join_all(self.layers.iter().map(|layer| layer.descriptor())).await;
        let layers = layers.map_err(MakeManifestError::Layer)?;
        if layers.iter().all(|layer| layer.media_type == MediaType::DOCKER_LAYER_GZIP) {
            return write_manifest(MediaType::DOCKER_MANIFEST, self.config.clone(), layers, []);
        }
        let config = Descriptor { media_type: MediaType::OCI_CONFIG, ..self.config.clone() };
        write_manifest(MediaType::OCI_MANIFEST, config, layers.into_iter().map(to_oci).collect(), [])
    }
}

/// Docker's manifests have only gzip: where there is another layer, all are named as OCI has them.
fn to_oci(mut layer: Descriptor) -> Descriptor {
    if layer.media_type == MediaType::DOCKER_LAYER_GZIP {
        layer.media_type = MediaType::OCI_LAYER_GZIP;
    }
    layer
}

/// Writes a manifest as compact JSON with the fields in one order, so that the same image has the same digest.
pub(crate) fn write_manifest(
    media_type: MediaType,
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: impl IntoIterator<Item = (String, String)>,
) -> Result<RawManifest, MakeManifestError> {
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(media_type.clone()),
        config,
        layers,
        annotations: annotations.into_iter().collect(),
    };
    let bytes = serde_json::to_vec(&manifest).map_err(MakeManifestError::Write)?;
    RawManifest::new(media_type, bytes.into()).map_err(MakeManifestError::Manifest)
}

impl Image for DockerImage {
    fn parts(&self) -> &[Arc<dyn Layer>] {
        &self.parts
    }

    fn manifest(&self) -> BoxFuture<'_, Result<RawManifest, SourceError>> {
        // Made anew each time: a layer that was settled for one registry may be prepared for another one.
        Box::pin(async { self.make_manifest().await.map_err(Into::into) })
    }
}
