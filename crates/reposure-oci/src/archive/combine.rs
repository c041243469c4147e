//! Making entries of what a layout's index and a docker-archive's manifest say; many archives have both.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    docker::{self, DockerError, Reader},
    entry::{Entry, normalize},
    layout::{self, IMAGE_NAME, LayoutImage, REF_NAME},
    place::MemberPlace,
};
use crate::{
    digest::Digest,
    image::Artifact,
    manifest::{Descriptor, Platform},
    platform,
};

/// How many missing digests an error names.
const NAMED_LIMIT: usize = 8;

/// Why an archive's images cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum CombineError {
    /// Manifests or blobs are not there.
    #[error("{index} names {root}, which {}", is_missing(root, missing))]
    Missing {
        /// The layout's index.
        index: MemberPlace,
        /// The image or index.
        root: Digest,
        /// What is missing.
        missing: BTreeSet<Digest>,
    },
    /// An image of a docker-archive cannot be made.
    #[error(transparent)]
    Docker(DockerError),
}

fn is_missing(root: &Digest, missing: &BTreeSet<Digest>) -> String {
    if missing.contains(root) {
        return "is not there".into();
    }
    format!("refers to what is not there: {}", name_some(missing))
}

fn name_some(digests: &BTreeSet<Digest>) -> String {
    let mut names: Vec<_> = digests.iter().take(NAMED_LIMIT).map(ToString::to_string).collect();
    if digests.len() > NAMED_LIMIT {
        names.push(format!("and {} more", digests.len() - NAMED_LIMIT));
    }
    names.join(", ")
}

/// An image or index of a layout, with all of its names.
struct Group {
    found: layout::Found,
    names: Vec<String>,
}

/// Makes the entries: those of the layout with the tags that the docker-archive adds, then those that only the latter has.
///
/// Docker up to 28 lists only the first of several untagged images in the layout's index, so that both are needed.
pub(crate) fn combine(
    layout: Vec<layout::Found>,
    docker: &[docker::Found],
    only: Option<&Platform>,
    reader: &mut Reader<'_>,
) -> Result<Vec<Entry>, CombineError> {
    let mut groups = group(layout);
    let mut alone = Vec::new();
    for found in docker {
        match groups.iter().position(|group| holds(group, found)) {
            Some(position) => add_names(&mut groups, position, &found.names),
            None => alone.push(found),
        }
    }
    let mut entries = Vec::new();
    for group in groups {
        entries.push(match only.and_then(|only| of_platform(&group, only)) {
            Some(image) => {
                Entry { names: group.names, artifact: Artifact::Image(image), omitted: Vec::new() }
            }
            None => entry(group, docker, reader)?,
        });
    }
    for found in alone {
        let artifact = reader.image(found).map_err(CombineError::Docker)?;
        entries.push(Entry { names: found.names.clone(), artifact, omitted: Vec::new() });
    }
    Ok(entries)
}

fn group(layout: Vec<layout::Found>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for found in layout {
        let name = name(&found.descriptor);
        match groups.iter_mut().find(|group| group.found.descriptor.digest == found.descriptor.digest) {
            Some(group) => group.names.extend(name),
            None => groups.push(Group { found, names: name.into_iter().collect() }),
        }
    }
    groups
}

/// Returns the full name where there is one, else what the specification has, which may be no more than a tag.
fn name(descriptor: &Descriptor) -> Option<String> {
    let annotation = |key| descriptor.annotations.get(key).filter(|name| !name.is_empty()).cloned();
    annotation(IMAGE_NAME).or_else(|| annotation(REF_NAME))
}

fn holds(group: &Group, found: &docker::Found) -> bool {
    group.found.node.images.iter().any(|image| image.config == found.config)
}

fn add_names(groups: &mut [Group], position: usize, names: &[String]) {
    for name in names {
        let is_known = |group: &Group| group.names.iter().any(|known| normalize(known) == normalize(name));
        if !groups.iter().any(is_known) {
            groups[position].names.push(name.clone());
        }
    }
}

/// Chooses the image of a platform where there is an index, whether all of its images are there or not.
fn of_platform(group: &Group, only: &Platform) -> Option<Arc<LayoutImage>> {
    let node = &group.found.node;
    if matches!(node.artifact, Some(Artifact::Image(_))) {
        return None;
    }
    let named = node.images.iter().filter_map(|image| Some((image.platform.clone()?, image.clone())));
    platform::choose(only, named)
}

fn entry(group: Group, docker: &[docker::Found], reader: &mut Reader<'_>) -> Result<Entry, CombineError> {
    let listed = |image: &LayoutImage| docker.iter().find(|found| found.config == image.config);
    let Group { found: layout::Found { index, descriptor, node }, names } = group;
    match (node.artifact, node.images.as_slice()) {
        // The manifest of a graph driver's image is made by `docker save`, with uncompressed layers, and known to nobody: its
        // digest is worth less than what compression saves.
        (Some(Artifact::Image(artifact)), [image]) if image.has_plain_layers => {
            let artifact = match listed(image).filter(|found| found.by_graph_driver) {
                Some(found) => reader.image(found).map_err(CombineError::Docker)?,
                None => Artifact::Image(artifact),
            };
            Ok(Entry { names, artifact, omitted: Vec::new() })
        }
        (Some(artifact), _) => Ok(Entry { names, artifact, omitted: Vec::new() }),
        // Docker's containerd store saves an index as it was pulled, but of its images those that were pulled, and lists
        // this machine's one.
        (None, images) => {
            let mut meant = images.iter().filter(|image| listed(image).is_some());
            match (meant.next(), meant.next()) {
                (Some(image), None) => Ok(Entry {
                    names,
                    artifact: Artifact::Image(image.clone()),
                    omitted: node.missing.into_iter().collect(),
                }),
                _ => Err(CombineError::Missing { index, root: descriptor.digest, missing: node.missing }),
            }
        }
    }
}
