//! Archives of each form, good and bad, opened from disk.

mod docker;
mod forms;
mod layout;
mod platforms;

use std::{error::Error, path::Path};

use serde_json::{Value, json};

use super::{
    Archive, Entry, Form, OpenError, Options, open, receive,
    testing::{
        OCI_LAYOUT, Scratch, Tar, blob_path, compress, compress_by, config, describe, index, layer, manifest,
    },
};
use crate::{
    blob::verify,
    compression::Compression,
    digest::Digest,
    gzip::Format,
    image::{Artifact, Image},
    manifest::{ImageManifest, Manifest, RawManifest},
    media_type::MediaType,
};

/// A docker-archive's item, with names as older dockers give them.
fn item(config: &str, tags: &Value, layers: &[&str]) -> Value {
    json!({"Config": config, "RepoTags": tags, "Layers": layers})
}

fn config_name(config: &str) -> String {
    format!("{}.json", Digest::sha256_of(config).hex())
}

/// A docker-archive of one image, `manifest.json` last.
fn docker_archive(config: &str, layers: &[&[u8]]) -> Tar {
    let mut tar = Tar::new().file(&config_name(config), config);
    let names: Vec<_> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    for (name, layer) in names.iter().zip(layers) {
        tar = tar.file(name, layer);
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    tar.file("manifest.json", json!([item(&config_name(config), &json!(["app:v1"]), &names)]).to_string())
}

/// The error with all of its sources, as a program shows it.
fn text(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn open_bytes(bytes: &[u8]) -> (Scratch, Result<Archive, OpenError>) {
    let scratch = Scratch::new();
    let path = scratch.write("images.tar", bytes);
    let archive = open(path, scratch.options()).await;
    (scratch, archive)
}

async fn open_tar(tar: Tar) -> (Scratch, Archive) {
    let (scratch, archive) = open_bytes(&tar.bytes()).await;
    (scratch, archive.unwrap_or_else(|error| panic!("{}", text(&error))))
}

/// What is said of an archive that cannot be opened; where its folder is differs each time.
async fn error_of(tar: Tar) -> String {
    let (scratch, opened) = open_bytes(&tar.bytes()).await;
    scratch.without_folder(&text(&opened.unwrap_err()))
}

fn image(entry: &Entry) -> &dyn Image {
    match &entry.artifact {
        Artifact::Image(image) => image.as_ref(),
        Artifact::Index(index) => panic!("{index:?} is an index"),
    }
}

/// Checks that the manifest names the parts, and every part's bytes.
async fn check(image: &dyn Image) -> RawManifest {
    let raw = image.manifest().await.unwrap();
    let Manifest::Image(manifest) = raw.parse().unwrap() else { panic!("{raw:?} is an index") };
    let named: Vec<_> = std::iter::once(&manifest.config).chain(&manifest.layers).collect();
    assert_eq!(named.len(), image.parts().len());
    for (part, named) in image.parts().iter().zip(named) {
        let blob = part.prepare().await.unwrap();
        let described = blob.descriptor();
        assert_eq!((&described.digest, described.size), (&named.digest, named.size));
        verify(blob.as_ref()).await.unwrap();
    }
    raw
}

/// What `docker save` writes since 25 with a graph driver.
fn graph_driver_archive(sources: &Value) -> (Tar, String) {
    let (one, two) = (layer("one"), layer("two"));
    let configs = [config(&[&one]), config(&[&two])];
    let manifests = [manifest(&configs[0], &[&one]), manifest(&configs[1], &[&two])];
    // Only the first of two untagged images is in the index.
    let index = index(&[describe(&MediaType::OCI_MANIFEST, &manifests[0])]);
    let contents = [&one[..], &two, configs[0].as_bytes(), configs[1].as_bytes(), manifests[0].as_bytes()];
    let files = contents.map(|content| (blob_path(content), content.to_vec()));
    let item = |config: &String, layer: &Vec<u8>| json!({"Config": blob_path(config), "RepoTags": null, "Layers": [blob_path(layer)], "LayerSources": sources});
    let items = json!([item(&configs[0], &one), item(&configs[1], &two)]);
    (pack(&index, files).file("manifest.json", items.to_string()), manifests[0].clone())
}

fn pack(index: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Tar {
    let mut tar = Tar::new().file("oci-layout", OCI_LAYOUT).file("index.json", index);
    for (path, content) in files {
        tar = tar.file(&path, content);
    }
    tar
}
