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
    place::MemberPlace,
    store::{Content, Store, StoreError},
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
    #[error(transparent)]
    Store(StoreError),
    /// A file that the manifest names cannot be had.
    #[error("{list} names a file that cannot be had")]
    Named {
        /// The manifest.
        list: MemberPlace,
        /// What is wrong.
        #[source]
        source: StoreError,
    },
    /// There are too many images.
    #[error("{list} names {images} images, over the limit of {IMAGES_LIMIT}")]
    TooManyImages {
        /// The manifest.
        list: MemberPlace,
        /// How many images there are.
        images: usize,
    },
    /// The configuration that the manifest names is not there.
    #[error("{list} names configuration {config}, which is not there")]
    MissingConfig {
        /// The manifest.
        list: MemberPlace,
        /// The configuration's path.
        config: String,
    },
    /// A layer that the manifest names is not there.
    #[error("{list} names layer {layer}, which is not there")]
    MissingLayer {
        /// The manifest.
        list: MemberPlace,
        /// The layer's path.
        layer: String,
    },
    /// The configuration is no JSON of the expected shape.
    #[error("configuration {config} is malformed")]
    MalformedConfig {
        /// The configuration.
        config: MemberPlace,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The configuration is another than its file name says.
    #[error("configuration {config} is damaged: its digest is {actual}")]
    DamagedConfig {
        /// The configuration, whose path holds the expected digest.
        config: MemberPlace,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// The manifest names another number of layers than the configuration.
    #[error("{list} names {layers} layers, where configuration {config} has {diff_ids} diff IDs")]
    LayerCount {
        /// The manifest.
        list: MemberPlace,
        /// The configuration.
        config: MemberPlace,
        /// How many layers the manifest names.
        layers: usize,
        /// How many the configuration does.
        diff_ids: usize,
    },
    /// There are too many layers.
    #[error("{list} names {layers} layers of configuration {config}, over the limit of {LAYERS_LIMIT}")]
    TooManyLayers {
        /// The manifest.
        list: MemberPlace,
        /// The configuration.
        config: MemberPlace,
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
    list: MemberPlace,
    config_place: MemberPlace,
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
        let Some((items, list)) = items.map_err(DockerError::Store)? else { return Ok(None) };
        if items.len() > IMAGES_LIMIT {
            return Err(DockerError::TooManyImages { list, images: items.len() });
        }
        items.into_iter().map(|item| self.read_config(item, &list)).collect::<Result<_, _>>().map(Some)
    }

    fn read_config(&self, mut item: Item, list: &MemberPlace) -> Result<Found, DockerError> {
        let missing = || DockerError::MissingConfig { list: list.clone(), config: item.config.clone() };
        let content = self.named(&item.config, list)?.ok_or_else(missing)?;
        let config_place = content.place();
        let config_bytes = content.read(CONFIG_LIMIT).map_err(DockerError::Store)?;
        let expected = named_digest(&item.config);
        let mut digester = Digester::new(expected.as_ref().map_or(Algorithm::Sha256, Digest::algorithm));
        digester.update(&config_bytes);
        let config = digester.finish();
        if expected.is_some_and(|expected| expected != config) {
            return Err(DockerError::DamagedConfig { config: config_place, actual: config });
        }
        let by_graph_driver = item.layer_sources.as_ref().is_some_and(|sources| !sources.is_empty());
        let names = item.repo_tags.take().unwrap_or_default();
        let list = list.clone();
        Ok(Found { names, config, by_graph_driver, list, config_place, config_bytes, item })
    }

    /// Finds what the manifest names.
    fn named(&self, path: &str, list: &MemberPlace) -> Result<Option<Content>, DockerError> {
        self.store.find(path).map_err(|source| DockerError::Named { list: list.clone(), source })
    }

    /// Makes the image.
    pub(crate) fn image(&mut self, found: &Found) -> Result<Artifact, DockerError> {
        let (list, config) = (found.list.clone(), found.config_place.clone());
        let parsed: Config = serde_json::from_slice(&found.config_bytes)
            .map_err(|source| DockerError::MalformedConfig { config: config.clone(), source })?;
        let diff_ids = parsed.rootfs.diff_ids.unwrap_or_default();
        let named = found.item.layers.as_deref().unwrap_or_default();
        let layers = named.len();
        if layers > LAYERS_LIMIT {
            return Err(DockerError::TooManyLayers { list, config, layers });
        }
        if layers != diff_ids.len() {
            return Err(DockerError::LayerCount { list, config, layers, diff_ids: diff_ids.len() });
        }
        let pairs = named.iter().zip(&diff_ids);
        let layers =
            pairs.map(|(layer, diff_id)| self.layer(layer, diff_id, &list)).collect::<Result<_, _>>()?;
        let part = ReadyPart::config(MediaType::DOCKER_CONFIG, found.config_bytes.clone());
        Ok(Artifact::Image(Arc::new(DockerImage::new(part, layers))))
    }

    fn layer(
        &mut self,
        path: &str,
        diff_id: &Digest,
        list: &MemberPlace,
    ) -> Result<Arc<DockerLayer>, DockerError> {
        let missing = || DockerError::MissingLayer { list: list.clone(), layer: path.into() };
        let content = self.named(path, list)?.ok_or_else(missing)?;
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
