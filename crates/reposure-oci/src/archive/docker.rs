//! Reading a docker-archive: `manifest.json` names configurations and layers.
//!
//! Written by `docker save` since 1.10, podman, skopeo, kaniko, jib, Bazel and go-containerregistry, each with its own names for
//! the files. See the [image tar format](https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format).

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde::Deserialize;

use super::{
    docker_image::DockerImage,
    docker_layer::DockerLayer,
    options::Options,
    parts::ReadyPart,
    store::{Store, StoreError},
};
use crate::{
    digest::{Algorithm, Digest, Digester},
    image::Artifact,
    media_type::MediaType,
};

/// The file that makes an archive a docker-archive.
pub(crate) const MANIFEST_FILE: &str = "manifest.json";
/// The file that older archives have instead, or beside it.
pub(crate) const REPOSITORIES_FILE: &str = "repositories";
/// The largest `manifest.json` in bytes, as containerd has it.
const MANIFEST_FILE_LIMIT: u64 = 20 << 20;
/// The largest configuration in bytes, as containerd has it.
const CONFIG_LIMIT: u64 = 8 << 20;
/// The most layers of one image: more than the 127 that overlayfs bears.
pub(crate) const LAYERS_LIMIT: usize = 128;
/// The most images of one archive.
const IMAGES_LIMIT: usize = 1024;

/// Why a docker-archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// A file cannot be had.
    #[error("the docker-archive cannot be read")]
    Store(#[source] StoreError),
    /// There are too many images.
    #[error("the docker-archive has {0} images, over the limit of {IMAGES_LIMIT}")]
    TooManyImages(usize),
    /// The configuration that the manifest names is not there.
    #[error("{MANIFEST_FILE} names configuration {0}, which is not in the archive")]
    MissingConfig(String),
    /// A layer that the manifest names is not there.
    #[error("layer {layer} of the image with configuration {config} is not in the archive")]
    MissingLayer {
        /// The layer's path.
        layer: String,
        /// The configuration's path.
        config: String,
    },
    /// The configuration is no JSON of the expected shape.
    #[error("configuration {config} is malformed")]
    MalformedConfig {
        /// The configuration's path.
        config: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The configuration is another than its file name says.
    #[error("configuration {config} is damaged: its digest is {actual}")]
    DamagedConfig {
        /// The configuration's path, which holds the expected digest.
        config: String,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// The manifest names another number of layers than the configuration.
    #[error("{MANIFEST_FILE} names {layers} layers, where configuration {config} has {diff_ids} diff IDs")]
    LayerCount {
        /// The configuration's path.
        config: String,
        /// How many layers the manifest names.
        layers: usize,
        /// How many the configuration does.
        diff_ids: usize,
    },
    /// There are too many layers.
    #[error("the image with configuration {config} has {layers} layers, over the limit of {LAYERS_LIMIT}")]
    TooManyLayers {
        /// The configuration's path.
        config: String,
        /// How many layers there are.
        layers: usize,
    },
}

/// An image in `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
    /// Only docker since 25 with a graph driver writes this.
    #[serde(default)]
    layer_sources: Option<HashMap<String, serde_json::Value>>,
}

#[derive(Debug, Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

/// An image of a docker-archive, with its configuration read.
#[derive(Debug)]
pub(crate) struct Found {
    /// The names that it is tagged by.
    pub(crate) names: Vec<String>,
    /// The configuration's digest.
    pub(crate) config: Digest,
    /// Whether docker's graph driver has made it, with an OCI manifest that nobody else knows.
    pub(crate) by_graph_driver: bool,
    config_bytes: Bytes,
    item: Item,
}

/// A docker-archive that is being read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    store: &'a Store,
    options: &'a Options,
    /// Layers by diff ID, so that one that is there several times is compressed once.
    layers: HashMap<Digest, Arc<DockerLayer>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(store: &'a Store, options: &'a Options) -> Self {
        Self { store, options, layers: HashMap::new() }
    }

    /// Returns the images that `manifest.json` names, or `None` if there is no such file.
    pub(crate) fn find(&self) -> Result<Option<Vec<Found>>, DockerError> {
        let items = self.store.json::<Vec<Item>>(MANIFEST_FILE, MANIFEST_FILE_LIMIT);
        let Some(items) = items.map_err(DockerError::Store)? else { return Ok(None) };
        if items.len() > IMAGES_LIMIT {
            return Err(DockerError::TooManyImages(items.len()));
        }
        items.into_iter().map(|item| self.read_config(item)).collect::<Result<_, _>>().map(Some)
    }

    fn read_config(&self, mut item: Item) -> Result<Found, DockerError> {
        let content = self.store.find(&item.config).map_err(DockerError::Store)?;
        let content = content.ok_or_else(|| DockerError::MissingConfig(item.config.clone()))?;
        let config_bytes = content.read(CONFIG_LIMIT).map_err(DockerError::Store)?;
        let expected = named_digest(&item.config);
        let mut digester = Digester::new(expected.as_ref().map_or(Algorithm::Sha256, Digest::algorithm));
        digester.update(&config_bytes);
        let config = digester.finish();
        if expected.is_some_and(|expected| expected != config) {
            return Err(DockerError::DamagedConfig { config: item.config, actual: config });
        }
        let by_graph_driver = item.layer_sources.as_ref().is_some_and(|sources| !sources.is_empty());
        let names = item.repo_tags.take().unwrap_or_default();
        Ok(Found { names, config, by_graph_driver, config_bytes, item })
    }

    /// Makes the image.
    pub(crate) fn image(&mut self, found: &Found) -> Result<Artifact, DockerError> {
        let config = found.item.config.clone();
        let parsed: Config = serde_json::from_slice(&found.config_bytes)
            .map_err(|source| DockerError::MalformedConfig { config: config.clone(), source })?;
        let diff_ids = parsed.rootfs.diff_ids.unwrap_or_default();
        let layers = found.item.layers.as_deref().unwrap_or_default();
        if layers.len() > LAYERS_LIMIT {
            return Err(DockerError::TooManyLayers { config, layers: layers.len() });
        }
        if layers.len() != diff_ids.len() {
            return Err(DockerError::LayerCount { config, layers: layers.len(), diff_ids: diff_ids.len() });
        }
        let pairs = layers.iter().zip(&diff_ids);
        let layers =
            pairs.map(|(layer, diff_id)| self.layer(layer, diff_id, &config)).collect::<Result<_, _>>()?;
        let part = ReadyPart::config(MediaType::DOCKER_CONFIG, found.config_bytes.clone());
        Ok(Artifact::Image(Arc::new(DockerImage::new(part, layers))))
    }

    fn layer(&mut self, path: &str, diff_id: &Digest, config: &str) -> Result<Arc<DockerLayer>, DockerError> {
        let missing = || DockerError::MissingLayer { layer: path.into(), config: config.into() };
        let content = self.store.find(path).map_err(DockerError::Store)?.ok_or_else(missing)?;
        let make = || Arc::new(DockerLayer::new(content, diff_id.clone(), self.options.clone()));
        Ok(self.layers.entry(diff_id.clone()).or_insert_with(make).clone())
    }
}

/// Returns the digest that a configuration is named by: `HEX.json`, `HEX`, `sha256:HEX`. Some tools name it otherwise. The length
/// tells the algorithm.
fn named_digest(path: &str) -> Option<Digest> {
    let name = path.rsplit('/').next()?;
    let name = name.strip_suffix(".json").unwrap_or(name);
    let name = name.strip_prefix("sha256:").unwrap_or(name);
    let algorithms = [Algorithm::Sha256, Algorithm::Sha512];
    algorithms.iter().find_map(|algorithm| format!("{}:{name}", algorithm.as_str()).parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_names_that_hold_a_digest() {
        let digest = Digest::sha256_of("x");
        let hex = digest.hex();
        for name in [format!("{hex}.json"), format!("sha256:{hex}"), format!("blobs/sha256/{hex}")] {
            assert_eq!(named_digest(&name), Some(digest.clone()), "{name}");
        }
        for name in ["config.json", "a/b", ""] {
            assert_eq!(named_digest(name), None);
        }
    }
}
