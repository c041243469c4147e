//! Small sources, which are good until something is done to them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

use reposure_oci::{Digest, MediaType};
use reposure_testing::RandomImage;
use serde_json::json;
use tar::{Builder, EntryType, Header};

pub(super) fn sample() -> RandomImage {
    RandomImage::new(1, 2, 300).unwrap()
}

/// The forms of a sample in a tar.
pub(super) fn tars() -> [Vec<u8>; 2] {
    let (mut docker, mut oci) = (Vec::new(), Vec::new());
    sample().write_docker_archive("app:v1", &mut docker).unwrap();
    sample().write_oci_archive("v1", &mut oci).unwrap();
    [docker, oci]
}

/// The files of a layout by path.
pub(super) fn layout() -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    sample().write_oci_layout("v1", folder.path()).unwrap();
    let mut files = BTreeMap::new();
    for directory in ["", "blobs/sha256/"] {
        for entry in fs::read_dir(folder.path().join(directory)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let path = format!("{directory}{}", entry.file_name().display());
                files.insert(path, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

/// A layout whose index has an index with the sample's image, and the paths of child, configuration and layers.
pub(super) fn nested() -> (BTreeMap<String, Vec<u8>>, Vec<String>) {
    let (mut files, image) = (layout(), sample());
    let child =
        json!({"mediaType": image.media_type(), "digest": image.digest(), "size": image.manifest().len()});
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [child]});
    let index = index.to_string().into_bytes();
    let root =
        json!({"mediaType": MediaType::OCI_INDEX, "digest": Digest::sha256_of(&index), "size": index.len()});
    files.insert("index.json".into(), json!({"schemaVersion": 2, "manifests": [root]}).to_string().into());
    let blobs = image.blobs();
    let contents = [&index[..], image.manifest()].into_iter().chain(blobs.iter().map(|blob| &blob[..]));
    let paths = contents.map(blob_path).collect();
    files.insert(blob_path(&index), index);
    (files, paths)
}

pub(super) fn blob_path(content: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::sha256_of(content).hex())
}

/// The digest of the blob that a layout has at this path.
pub(super) fn digest_at(path: &str) -> String {
    path.replace("blobs/sha256/", "sha256:")
}

pub(super) fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

pub(super) fn pack(path: &Path, files: &BTreeMap<String, Vec<u8>>) {
    let mut tar = Builder::new(File::create(path).unwrap());
    for (path, content) in files {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content.as_slice()).unwrap();
    }
    tar.finish().unwrap();
}

/// The tar with one more member, which is empty and need not be a good one, and where its header is.
pub(super) fn with_member(tar: &[u8], kind: EntryType, path: &str, target: &str) -> (Vec<u8>, usize) {
    // Two empty blocks are the end.
    let at = tar.len() - 1024;
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    let fields = header.as_gnu_mut().unwrap();
    fields.name[..path.len()].copy_from_slice(path.as_bytes());
    fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    ([&tar[..at], header.as_bytes(), &tar[at..]].concat(), at)
}
