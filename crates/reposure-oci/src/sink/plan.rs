//! The layout of an archive: every byte but those of the blobs, and where the blobs go.

use std::{collections::BTreeSet, fs::File, io, os::unix::fs::FileExt as _};

use tar::EntryType;

use super::{
    listing::{self, DockerList},
    name::ArchiveName,
    reached::{Reached, Tree},
    room,
};
use crate::{
    archive::{
        docker::MANIFEST_FILE,
        layout::{INDEX_FILE, LAYOUT_FILE, blob_path},
    },
    digest::{Algorithm, Digest, Digester},
    manifest::{Descriptor, INDEX_DEPTH_LIMIT, MANIFESTS_LIMIT, ManifestError, RawManifest},
    tarball,
};

/// The content of `oci-layout`.
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The largest offset in a file, less what stands behind the last blob.
const LARGEST: u64 = i64::MAX as u64 - (1 << 20);

/// How an archive names its images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArchiveForm {
    /// An OCI layout and a docker-archive at once, which every tool reads as one or the other.
    #[default]
    Universal,
    /// An OCI layout alone.
    Oci,
    /// A docker-archive alone, as `docker save` wrote it before version 25; it has room for images, and none for indexes.
    Docker,
}

/// An image or index that is to be saved, and what it is to be called.
#[derive(Clone, Debug)]
pub struct SavedImage {
    /// The manifest or index.
    pub manifest: RawManifest,
    /// Its names; none is fine.
    pub names: Vec<ArchiveName>,
}

/// A blob's place in an archive.
#[derive(Clone, Debug)]
pub struct PlannedBlob {
    /// What the blob is.
    pub descriptor: Descriptor,
    /// Where its content starts in the archive, in bytes.
    pub start: u64,
    /// The tar blocks right before its content.
    pub(crate) header: Vec<u8>,
}

/// The layout of an archive, complete but for the blobs' contents.
///
/// The archive is [`Plan::prelude`]; then for each blob in order its header, content and padding; then two empty blocks. What
/// lies between the contents is in [`Plan::fixed`], for those who write blobs in place.
#[derive(Clone, Debug)]
pub struct Plan {
    prelude: Vec<u8>,
    blobs: Vec<PlannedBlob>,
    size: u64,
}

/// Why an archive cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A manifest is malformed.
    #[error("manifest {digest} cannot be saved")]
    Manifest {
        /// The manifest's digest.
        digest: Digest,
        /// What is wrong.
        #[source]
        source: ManifestError,
    },
    /// An index names a manifest that was not given.
    #[error("manifest {0} of an index is missing")]
    MissingChild(Digest),
    /// Indexes are nested too deep.
    #[error("manifest {0} is nested deeper than {INDEX_DEPTH_LIMIT} levels")]
    TooDeep(Digest),
    /// There are too many manifests.
    #[error("there are more than {MANIFESTS_LIMIT} manifests")]
    TooManyManifests,
    /// Two descriptors of one digest differ in size, so that one of them lies.
    #[error("blob {0} is said to have two sizes")]
    TwoSizes(Digest),
    /// The sizes that the manifests name add up to more than a file can have.
    #[error("the archive would be larger than any file")]
    TooLarge,
    /// A docker-archive was asked for, which has no room for an index.
    #[error("{0} is an index of images, which a docker-archive cannot hold")]
    Index(Digest),
    /// A docker-archive was asked for, and a part is none that docker can run.
    #[error("{0} is no image that docker can load")]
    NotDockers(Digest),
    /// A part cannot be written as JSON.
    #[error("the archive's list of images cannot be written")]
    Write(#[source] serde_json::Error),
    /// A header of the tar cannot be made.
    #[error("the archive's header for {path} cannot be made")]
    Header {
        /// The member's path.
        path: String,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
}

impl Plan {
    /// Lays out an archive of every form at once; see [`Plan::of`].
    ///
    /// # Errors
    /// As [`Plan::of`].
    pub fn new(images: &[SavedImage], children: &[RawManifest]) -> Result<Self, PlanError> {
        Self::of(ArchiveForm::Universal, images, children)
    }

    /// Lays out an archive of `images`; `children` holds the manifests that indexes among them name, in any order.
    ///
    /// Layers that are not to be distributed are left out; a docker-archive cannot do without them.
    ///
    /// # Errors
    /// When manifests are missing, malformed, too many or contradictory, or none that the form can hold.
    pub fn of(form: ArchiveForm, images: &[SavedImage], children: &[RawManifest]) -> Result<Self, PlanError> {
        let tree = Tree::new(images, children);
        let reached = Reached::from(images, &tree)?;
        let list = if form == ArchiveForm::Docker { Some(DockerList::new(images)?) } else { None };
        let prelude = match &list {
            Some(list) => docker_prelude(list)?,
            None => prelude(form, images, &tree, &reached)?,
        };
        let mut plan = Self { size: prelude.len() as u64, prelude, blobs: Vec::new() };
        for blob in reached.blobs {
            let path = list.as_ref().map_or_else(|| blob_path(&blob.digest), |list| list.path(&blob.digest));
            plan.add(blob, &path)?;
        }
        plan.size += tarball::END.len() as u64;
        Ok(plan)
    }

    fn add(&mut self, descriptor: Descriptor, path: &str) -> Result<(), PlanError> {
        let header = file_header(path, descriptor.size)?;
        let start = self.size.saturating_add(header.len() as u64);
        let end =
            start.checked_add(descriptor.size).filter(|end| *end <= LARGEST).ok_or(PlanError::TooLarge)?;
        self.size = end + tarball::padding(descriptor.size) as u64;
        self.blobs.push(PlannedBlob { descriptor, start, header });
        Ok(())
    }

    /// Returns the archive's start, before the first blob: the lists of images and all manifests.
    pub fn prelude(&self) -> &[u8] {
        &self.prelude
    }

    /// Returns the blobs, each once, in the archive's order.
    pub fn blobs(&self) -> &[PlannedBlob] {
        &self.blobs
    }

    /// Returns the archive's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns what lies around the blobs' contents, by offset: an archive is complete when these and the contents are
    /// written. Padding and end are zeros, which a file has where nothing is written, once it has [`Plan::size`].
    pub fn fixed(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let headers =
            self.blobs.iter().map(|blob| (blob.start - blob.header.len() as u64, blob.header.as_slice()));
        std::iter::once((0, self.prelude.as_slice())).chain(headers)
    }

    /// Returns a digest that tells this archive from others: of all that its bytes follow from.
    pub fn digest(&self) -> Digest {
        let mut hasher = Digester::new(Algorithm::Sha256);
        self.fixed().for_each(|(_, bytes)| hasher.update(bytes));
        self.blobs.iter().for_each(|blob| hasher.update(blob.descriptor.digest.to_string().as_bytes()));
        hasher.update(&self.size.to_le_bytes());
        hasher.finish()
    }

    /// Writes all but the blobs' contents to a file that is empty but for such contents, and gives it its size and the room for it.
    ///
    /// # Errors
    /// When the file cannot be written to, or cannot be that large, or the disk has no room for it.
    pub fn write_fixed(&self, file: &File) -> io::Result<()> {
        room::reserve(file, self.size)?;
        self.fixed().try_for_each(|(offset, bytes)| file.write_all_at(bytes, offset))
    }
}

fn docker_prelude(list: &DockerList) -> Result<Vec<u8>, PlanError> {
    let mut bytes = Vec::new();
    add_file(&mut bytes, MANIFEST_FILE, &list.bytes)?;
    Ok(bytes)
}

fn prelude(
    form: ArchiveForm,
    images: &[SavedImage],
    tree: &Tree<'_>,
    reached: &Reached<'_>,
) -> Result<Vec<u8>, PlanError> {
    let mut bytes = Vec::new();
    add_file(&mut bytes, LAYOUT_FILE, LAYOUT)?;
    add_file(&mut bytes, INDEX_FILE, &listing::index(images)?)?;
    let docker = if form == ArchiveForm::Oci { None } else { listing::docker(images, tree)? };
    if let Some(manifest) = docker {
        add_file(&mut bytes, MANIFEST_FILE, &manifest)?;
    }
    for folder in folders(reached) {
        bytes.extend(header(EntryType::Directory, &folder, 0, 0o755)?);
    }
    for manifest in &reached.manifests {
        add_file(&mut bytes, &blob_path(manifest.digest()), manifest.bytes())?;
    }
    Ok(bytes)
}

fn folders(reached: &Reached<'_>) -> BTreeSet<String> {
    let folder = |algorithm: Algorithm| format!("blobs/{}/", algorithm.as_str());
    std::iter::once("blobs/".into())
        .chain(reached.digests().map(|digest| folder(digest.algorithm())))
        .collect()
}

fn add_file(bytes: &mut Vec<u8>, path: &str, content: &[u8]) -> Result<(), PlanError> {
    let size = content.len() as u64;
    bytes.extend(file_header(path, size)?);
    bytes.extend(content);
    bytes.extend(&tarball::END[..tarball::padding(size)]);
    Ok(())
}

fn file_header(path: &str, size: u64) -> Result<Vec<u8>, PlanError> {
    header(EntryType::Regular, path, size, 0o644)
}

fn header(kind: EntryType, path: &str, size: u64, mode: u32) -> Result<Vec<u8>, PlanError> {
    tarball::header(kind, path, size, mode).map_err(|source| PlanError::Header { path: path.into(), source })
}
