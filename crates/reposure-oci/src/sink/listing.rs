//! The files of an archive that name its images: `index.json` and `manifest.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    name::ArchiveName,
    plan::{PlanError, SavedImage},
    reached::{Tree, parse},
};
use crate::{
    archive::{
        layout::{IMAGE_NAME, REF_NAME, blob_path},
        referrers::tag_of,
    },
    digest::Digest,
    manifest::{Descriptor, ImageManifest, IndexManifest, Manifest, Platform, RawManifest},
    media_type::MediaType,
    referrer::Referrer,
    registry,
};

/// The platform of an index's image that goes into `manifest.json`, which has room for one.
const DOCKER_PLATFORM: (&str, &str) = ("linux", "amd64");

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Writes `index.json`: an entry for each name of each image, or one without a name.
pub(super) fn index(images: &[SavedImage]) -> Result<Vec<u8>, PlanError> {
    let manifests = images.iter().flat_map(index_entries).collect();
    let index = IndexManifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_INDEX),
        manifests,
        annotations: BTreeMap::new(),
    };
    serde_json::to_vec(&index).map_err(PlanError::Write)
}

/// Lists the entries of an image in an index: one for each name, or one without a name. What only refers to an image has no full
/// name, so that nobody takes it for one.
pub(super) fn index_entries(image: &SavedImage) -> Vec<Descriptor> {
    let is_image = !is_referrer(image);
    let named = |name: &ArchiveName| {
        let mut descriptor = image.manifest.descriptor();
        descriptor.annotations.insert(REF_NAME.into(), name.reference()?.into());
        let full = name.full().filter(|_| is_image);
        descriptor.annotations.extend(full.map(|name| (IMAGE_NAME.into(), name)));
        Some(descriptor)
    };
    let entries: Vec<_> = image.names.iter().filter_map(named).collect();
    if entries.is_empty() { vec![image.manifest.descriptor()] } else { entries }
}

/// Writes `manifest.json`: an entry for each image that docker can load, `None` if there is none.
pub(super) fn docker(images: &[SavedImage], tree: &Tree<'_>) -> Result<Option<Vec<u8>>, PlanError> {
    let mut items = Vec::new();
    for image in images.iter().filter(|image| !is_referrer(image)) {
        let manifest = docker_image(&image.manifest, tree)?;
        items.extend(manifest.and_then(|manifest| item(&manifest, &image.names, blob_path)));
    }
    if items.is_empty() {
        return Ok(None);
    }
    serde_json::to_vec(&items).map(Some).map_err(PlanError::Write)
}

/// Tells what only refers to an image: docker would take a signature of cosign's for an image.
fn is_referrer(image: &SavedImage) -> bool {
    let leads_to_referrer = |name: &ArchiveName| {
        let tag = name.repo_tag().and_then(|name| tag_of(&name));
        tag.is_some_and(|tag| registry::is_referrer_tag(&tag))
    };
    let by_tag = !image.names.is_empty() && image.names.iter().all(leads_to_referrer);
    by_tag || Referrer::of(&image.manifest).is_some()
}

/// The `manifest.json` of a docker-archive that is nothing else, and where it has the blobs.
pub(super) struct DockerList {
    /// The content of `manifest.json`.
    pub(super) bytes: Vec<u8>,
    configs: BTreeSet<Digest>,
}

impl DockerList {
    /// Lists the images, each of which docker must be able to load.
    pub(super) fn new(images: &[SavedImage]) -> Result<Self, PlanError> {
        let mut manifests = Vec::new();
        for image in images {
            let digest = image.manifest.digest();
            match parse(&image.manifest)? {
                Manifest::Image(manifest) => manifests.push((digest, manifest, &image.names)),
                Manifest::Index(_) => return Err(PlanError::Index(digest.clone())),
            }
        }
        let configs = manifests.iter().map(|(_, manifest, _)| manifest.config.digest.clone()).collect();
        let mut list = Self { bytes: Vec::new(), configs };
        let items = manifests.iter().map(|(digest, manifest, names)| {
            let item = item(manifest, names, |digest| list.path(digest));
            item.ok_or_else(|| PlanError::NotDockers((*digest).clone()))
        });
        let items = items.collect::<Result<Vec<_>, _>>()?;
        list.bytes = serde_json::to_vec(&items).map_err(PlanError::Write)?;
        Ok(list)
    }

    /// Returns where the archive has a blob, by the names that docker and skopeo give.
    pub(super) fn path(&self, digest: &Digest) -> String {
        let ending = if self.configs.contains(digest) { "json" } else { "tar" };
        format!("{}.{ending}", digest.hex())
    }
}

/// Returns the manifest itself if it is an image's, else that of the index's image for docker, if it has one.
fn docker_image(manifest: &RawManifest, tree: &Tree<'_>) -> Result<Option<ImageManifest>, PlanError> {
    match parse(manifest)? {
        Manifest::Image(image) => Ok(Some(image)),
        Manifest::Index(index) => {
            let is_ours = |platform: &Platform| {
                (platform.os.as_str(), platform.architecture.as_str()) == DOCKER_PLATFORM
            };
            let child = index.manifests.iter().find(|child| child.platform.as_ref().is_some_and(is_ours));
            child.map(|child| docker_child(child, tree)).transpose().map(Option::flatten)
        }
    }
}

fn docker_child(child: &Descriptor, tree: &Tree<'_>) -> Result<Option<ImageManifest>, PlanError> {
    match parse(tree.get(&child.digest)?)? {
        Manifest::Image(image) => Ok(Some(image)),
        Manifest::Index(_) => Ok(None),
    }
}

/// Makes an entry, unless it is an artifact that docker cannot run, or has layers that are not in the archive.
fn item(manifest: &ImageManifest, names: &[ArchiveName], path: impl Fn(&Digest) -> String) -> Option<Item> {
    let is_config = [MediaType::OCI_CONFIG, MediaType::DOCKER_CONFIG].contains(&manifest.config.media_type);
    if !is_config || manifest.layers.iter().any(|layer| layer.media_type.is_foreign()) {
        return None;
    }
    let tags: Vec<_> = names.iter().filter_map(ArchiveName::repo_tag).collect();
    Some(Item {
        config: path(&manifest.config.digest),
        repo_tags: Some(tags).filter(|tags| !tags.is_empty()),
        layers: manifest.layers.iter().map(|layer| path(&layer.digest)).collect(),
    })
}
