//! Layouts that are written here; other tools read them in the command's tests.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{
    archive::{
        open,
        testing::{OCI_LAYOUT, Scratch, blob_path, compress, config, layer, manifest},
    },
    digest::Digest,
    image::Artifact,
    manifest::RawManifest,
    media_type::MediaType,
    sink::{ArchiveName, SavedImage},
};

struct Sample {
    contents: [Vec<u8>; 2],
    manifest: RawManifest,
}

impl Sample {
    fn new(content: &str) -> Self {
        let plain = layer(content);
        let (config, layer) = (config(&[&plain]), compress(&plain));
        let manifest = Bytes::from(manifest(&config, &[&layer]));
        let manifest = RawManifest::new(MediaType::OCI_MANIFEST, manifest).unwrap();
        Self { contents: [config.into(), layer], manifest }
    }

    fn addition(&self, name: &str) -> LayoutAddition {
        let names = vec![ArchiveName::Text(name.into())];
        LayoutAddition::new(&[SavedImage { manifest: self.manifest.clone(), names }], &[]).unwrap()
    }

    /// Adds the image, and returns how many blobs were written.
    async fn add(&self, path: &Path, name: &str) -> Result<usize, LayoutWriteError> {
        let folder = LayoutFolder::open(path, Durability::Machine).await?;
        let addition = self.addition(name);
        let missing = folder.missing(addition.blobs().to_vec()).await?;
        for blob in &missing {
            let content = self.contents.iter().find(|content| Digest::sha256_of(content) == blob.digest);
            let new = folder.create(blob)?;
            new.file().write_all(content.unwrap()).unwrap();
            new.keep(Durability::Machine)?;
        }
        folder.add(addition).await?;
        Ok(missing.len())
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

async fn names(scratch: &Scratch, path: PathBuf) -> Vec<String> {
    let archive = open(path, scratch.options()).await.unwrap();
    for entry in &archive.entries {
        let Artifact::Image(image) = &entry.artifact else { panic!("{entry:?}") };
        for part in image.parts() {
            crate::blob::verify(part.ready().unwrap().as_ref()).await.unwrap();
        }
    }
    archive.entries.into_iter().flat_map(|entry| entry.names).collect()
}

#[tokio::test]
async fn images_are_added_to_what_is_there() {
    let scratch = Scratch::new();
    let path = scratch.path().join("deep/layout");
    let (one, two) = (Sample::new("one"), Sample::new("two"));
    assert_eq!(one.add(&path, "v1").await.unwrap(), 2);
    assert_eq!(two.add(&path, "v2").await.unwrap(), 2);
    assert_eq!(names(&scratch, path.clone()).await, ["v1", "v2"]);
    // What is there is not written again, and a name goes from one image to another.
    assert_eq!(two.add(&path, "v1").await.unwrap(), 0);
    assert_eq!(names(&scratch, path.clone()).await, ["v2", "v1"]);
    assert_eq!(files(&path), ["blobs", "index.json", "oci-layout"]);
    assert_eq!(files(&path.join("blobs/sha256")).len(), 6);
}

#[tokio::test]
async fn a_damaged_blob_is_written_again() {
    let scratch = Scratch::new();
    let path = scratch.path().join("layout");
    let sample = Sample::new("one");
    sample.add(&path, "v1").await.unwrap();
    let layer = path.join(blob_path(&sample.contents[1]));
    let mut bytes = sample.contents[1].clone();
    bytes[20] ^= 1;
    for damaged in [&bytes, &bytes[..20]] {
        fs::write(&layer, damaged).unwrap();
        assert_eq!(sample.add(&path, "v1").await.unwrap(), 1);
        assert!(fs::read(&layer).unwrap() == sample.contents[1]);
    }
}

#[tokio::test]
async fn an_image_is_not_listed_without_its_blobs() {
    let scratch = Scratch::new();
    let path = scratch.path().join("layout");
    let folder = LayoutFolder::open(&path, Durability::Program).await.unwrap();
    let addition = Sample::new("one").addition("v1");
    let new = folder.create(&addition.blobs()[0]).unwrap();
    let added = folder.add(addition).await;
    assert!(matches!(added, Err(LayoutWriteError::Missing { .. })), "{added:?}");
    drop((new, folder));
    assert!(!path.exists(), "an empty folder is left");
}

#[tokio::test]
async fn blobs_of_a_pull_that_was_broken_off_are_used() {
    let scratch = Scratch::new();
    let path = scratch.path().join("layout");
    let sample = Sample::new("one");
    let layer = scratch.write(&format!("layout/{}", blob_path(&sample.contents[1])), &sample.contents[1]);
    assert_eq!(sample.add(&path, "v1").await.unwrap(), 1);
    assert!(layer.is_file());
}

#[tokio::test]
async fn what_is_no_layout_is_left_alone() {
    let scratch = Scratch::new();
    scratch.write("other/file", "x");
    scratch.write("old/oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    scratch.write("odd/oci-layout", OCI_LAYOUT);
    scratch.write("odd/index.json", "[]");
    let sample = Sample::new("one");
    for path in ["other", "other/file"] {
        let added = sample.add(&scratch.path().join(path), "v1").await;
        assert!(matches!(added, Err(LayoutWriteError::NotALayout(_))), "{added:?}");
    }
    let old = sample.add(&scratch.path().join("old"), "v1").await;
    assert!(matches!(old, Err(LayoutWriteError::Version { .. })), "{old:?}");
    let odd = sample.add(&scratch.path().join("odd"), "v1").await;
    assert!(matches!(odd, Err(LayoutWriteError::Index(_))), "{odd:?}");
    assert_eq!(
        (files(&scratch.path().join("other")), files(&scratch.path().join("old"))),
        (vec!["file".into()], vec!["oci-layout".into()])
    );
}

#[tokio::test]
async fn nothing_is_written_outside() {
    let sample = Sample::new("one");
    let hex = blob_path(&sample.contents[0]);
    for link in ["blobs", "blobs/sha256", "index.json", "oci-layout", &hex] {
        let scratch = Scratch::new();
        let outside = scratch.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "secret").unwrap();
        let layout = scratch.path().join("layout");
        let target = if link.ends_with("json") || link.ends_with("layout") || link == hex {
            outside.join("file")
        } else {
            outside.clone()
        };
        fs::create_dir_all(layout.join(link).parent().unwrap()).unwrap();
        if link != "oci-layout" {
            fs::write(layout.join("oci-layout"), OCI_LAYOUT).unwrap();
        }
        symlink(target, layout.join(link)).unwrap();
        let added = sample.add(&layout, "v1").await;
        assert!(
            matches!(added, Err(LayoutWriteError::Outside(_) | LayoutWriteError::Store { .. })),
            "{link}: {added:?}"
        );
        assert_eq!(
            (files(&outside), fs::read(outside.join("file")).unwrap()),
            (vec!["file".into()], b"secret".to_vec())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_are_added_at_once_are_all_listed() {
    let scratch = Scratch::new();
    let path = scratch.path().join("layout");
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let path = path.clone();
        tasks.spawn(async move {
            Sample::new(&format!("{}", number % 4)).add(&path, &format!("v{number}")).await
        });
    }
    while let Some(added) = tasks.join_next().await {
        added.unwrap().unwrap();
    }
    let mut listed = names(&scratch, path.clone()).await;
    listed.sort();
    let mut expected: Vec<_> = (0..16).map(|number| format!("v{number}")).collect();
    expected.sort();
    assert_eq!(listed, expected);
    let index: Value = serde_json::from_slice(&fs::read(path.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["schemaVersion"], json!(2));
}
