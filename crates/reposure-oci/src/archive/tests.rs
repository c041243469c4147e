//! Archives of each form, good and bad, opened from disk.

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

/// A docker-archive's manifest, when its layers are compressed so.
async fn manifest_with(compression: Compression, archive: Tar) -> ImageManifest {
    let scratch = Scratch::new();
    let options = Options { compression, ..scratch.options() };
    let archive = open(scratch.write("images.tar", archive.bytes()), options).await.unwrap();
    let raw = image(&archive.entries[0]).manifest().await.unwrap();
    let Manifest::Image(manifest) = raw.parse().unwrap() else { panic!("{raw:?} is an index") };
    assert_eq!(manifest.media_type.as_ref(), Some(raw.media_type()));
    manifest
}

#[tokio::test]
async fn what_docker_has_no_name_for_makes_an_oci_image() {
    let (one, two) = (layer("one"), layer("two"));
    let archive = || docker_archive(&config(&[&one, &two]), &[&one, &compress(&two)]);
    for (compression, media_type) in
        [(Compression::ZSTD, MediaType::OCI_LAYER_ZSTD), (Compression::None, MediaType::OCI_LAYER)]
    {
        let manifest = manifest_with(compression, archive()).await;
        assert_eq!(manifest.media_type, Some(MediaType::OCI_MANIFEST));
        assert_eq!(manifest.config.media_type, MediaType::OCI_CONFIG);
        let types: Vec<_> = manifest.layers.into_iter().map(|layer| layer.media_type).collect();
        // What is gzip already stays gzip.
        assert_eq!(types, [media_type, MediaType::OCI_LAYER_GZIP], "{compression}");
    }
    let manifest = manifest_with(Compression::default(), archive()).await;
    assert_eq!(manifest.media_type, Some(MediaType::DOCKER_MANIFEST));
    assert_eq!(manifest.config.media_type, MediaType::DOCKER_CONFIG);
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

async fn error_of(tar: Tar) -> String {
    text(&open_bytes(&tar.bytes()).await.1.unwrap_err())
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

#[tokio::test]
async fn a_docker_archive_is_compressed_and_described() {
    let (one, two) = (layer("one"), layer("two"));
    let config = config(&[&one, &two]);
    let (_scratch, archive) = open_tar(docker_archive(&config, &[&one, &two])).await;
    let entry = archive.select(Some("app:v1")).unwrap();
    assert_eq!(image(entry).parts()[1].label(), &Digest::sha256_of(&one).hex()[..12]);
    assert!(image(entry).parts()[0].ready().is_some() && image(entry).parts()[1].ready().is_none());
    let manifest = check(image(entry)).await;
    assert_eq!(manifest.media_type(), &MediaType::DOCKER_MANIFEST);
    let start = r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"#;
    assert!(manifest.bytes().starts_with(start.as_bytes()), "{manifest:?}");
    let Manifest::Image(parsed) = manifest.parse().unwrap() else { panic!() };
    assert_eq!(parsed.config.digest, Digest::sha256_of(&config));
    assert!(parsed.layers.iter().all(|layer| layer.media_type == MediaType::DOCKER_LAYER_GZIP));
}

#[tokio::test]
async fn one_archive_gives_one_digest() {
    let one = layer("one");
    let config = config(&[&one]);
    let mut digests = Vec::new();
    for _ in 0..2 {
        let (_scratch, archive) = open_tar(docker_archive(&config, &[&one])).await;
        digests.push(check(image(&archive.entries[0])).await.digest().clone());
    }
    assert_eq!(digests[0], digests[1]);
}

#[tokio::test]
async fn linked_and_repeated_layers_are_compressed_once() {
    let one = layer("one");
    let config = config(&[&one, &one, &one]);
    let names = ["a/layer.tar", "b/layer.tar", "c/layer.tar"];
    let tar = Tar::new()
        .file("manifest.json", json!([item("config.json", &Value::Null, &names)]).to_string())
        .file("config.json", &config)
        .symlink("b/layer.tar", "../a/layer.tar")
        .hardlink("c/layer.tar", "a/layer.tar")
        .file("a/layer.tar", &one);
    let scratch = Scratch::new();
    let options = scratch.options();
    let archive = open(scratch.write("images", tar.bytes()), options.clone()).await.unwrap();
    let image = image(archive.select(None).unwrap());
    check(image).await;
    assert_eq!(options.spool.used(), image.parts()[1].ready().unwrap().descriptor().size);
}

#[tokio::test]
async fn compressed_layers_stay_as_they_are() {
    let one = layer("one");
    let gzip = compress(&one);
    let (_scratch, archive) = open_tar(docker_archive(&config(&[&one]), &[&gzip])).await;
    let image = image(&archive.entries[0]);
    check(image).await;
    assert_eq!(image.parts()[1].ready().unwrap().descriptor().digest, Digest::sha256_of(&gzip));
}

#[tokio::test]
async fn layers_that_the_configuration_does_not_name_are_errors() {
    let (one, two) = (layer("one"), layer("two"));
    let error = error_of(docker_archive(&config(&[&one, &two]), &[&one])).await;
    assert!(error.contains("manifest.json names 1 layers") && error.contains("has 2 diff IDs"), "{error}");

    let (_scratch, archive) = open_tar(docker_archive(&config(&[&one]), &[&two])).await;
    let error = text(image(&archive.entries[0]).manifest().await.unwrap_err().as_ref());
    assert!(
        error.contains("layer 0/layer.tar (from byte 1536 of ")
            && error.contains("is damaged: its diff ID is"),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_docker_archive_names_must_be_there() {
    let config = config(&[]);
    let manifest = |items: Value| Tar::new().file("manifest.json", items.to_string());
    let items = |config: &str, layers: &[&str]| json!([item(config, &Value::Null, layers)]);
    let error = error_of(manifest(items("config.json", &[]))).await;
    assert!(error.contains("names configuration config.json, which is not"), "{error}");

    let one = layer("one");
    let named = self::config(&[&one]);
    let error = error_of(manifest(items("c.json", &["x/layer.tar"])).file("c.json", named)).await;
    assert!(error.contains("layer x/layer.tar of the image with configuration c.json is not"), "{error}");

    let name = config_name("something else");
    let error = error_of(manifest(items(&name, &[])).file(&name, &config)).await;
    assert!(error.contains("is damaged: its digest is"), "{error}");

    let error = error_of(manifest(items("../config.json", &[]))).await;
    assert!(error.contains("\"../config.json\" leads upwards"), "{error}");
    let error = error_of(manifest(json!({"not": "a list"}))).await;
    assert!(error.contains("manifest.json is malformed"), "{error}");
    let error = error_of(manifest(items("c.json", &[])).file("c.json", "{\"rootfs\": 1}")).await;
    assert!(error.contains("configuration c.json is malformed"), "{error}");
}

#[tokio::test]
async fn archives_with_refused_members_are_errors() {
    let good = || docker_archive(&config(&[]), &[]);
    for (tar, expected) in [
        (good().raw_file(b"../x", "1"), "leads upwards"),
        (good().raw_file(b"/x", "1"), "is absolute"),
        (good().symlink("x", "../../y"), "leads upwards"),
        (good().file("x", "1").file("x", "2"), "member x is there twice"),
        (good().sparse("x"), "member x is a sparse file"),
    ] {
        let error = error_of(tar).await;
        assert!(error.contains("cannot be used") && error.contains(expected), "{error}");
    }
    let names = json!([item("c.json", &Value::Null, &["a"])]).to_string();
    let tar = Tar::new().file("c.json", config(&[&layer("one")])).file("manifest.json", names);
    let error = error_of(tar.symlink("a", "b").symlink("b", "a")).await;
    assert!(error.contains("the link a leads in a circle"), "{error}");
}

#[tokio::test]
async fn truncated_archives_are_errors_wherever_they_end() {
    let one = layer("one");
    let bytes = docker_archive(&config(&[&one]), &[&one]).bytes();
    // The manifest is the last member: its header, one block, and two that end the archive.
    let manifest_end = bytes.len() - 1024;
    for length in (600..manifest_end - 512).step_by(100) {
        for name in ["images.tar", "images"] {
            let scratch = Scratch::new();
            let path = scratch.write(name, &bytes[..length]);
            let error = open(path, scratch.options()).await.unwrap_err();
            let is_right =
                matches!(error, OpenError::Tar(_) | OpenError::Unterminated(_) | OpenError::NotImages(_));
            assert!(is_right, "{length}: {}", text(&error));
        }
    }
}

#[tokio::test]
async fn a_whole_archive_that_is_compressed_is_spooled() {
    let one = layer("one");
    let bytes = docker_archive(&config(&[&one]), &[&one]).bytes();
    for format in [Format::Gzip, Format::Zstd, Format::Xz, Format::Bzip2] {
        let compressed = compress_by(format, &bytes);
        // The first bytes tell what it is, not the name.
        for name in ["images.tar.gz", "images.tar.zst", "images"] {
            let scratch = Scratch::new();
            let options = scratch.options();
            let archive = open(scratch.write(name, &compressed), options.clone()).await.unwrap();
            assert_eq!(options.spool.used(), bytes.len() as u64);
            check(image(archive.select(Some("app:v1")).unwrap())).await;
            drop(archive);
            assert_eq!(options.spool.used(), 0);
        }
        let (_scratch, result) = open_bytes(&compressed[..compressed.len() - 20]).await;
        assert!(matches!(result, Err(OpenError::Decompress { .. })), "{format}");

        let scratch = Scratch::new();
        let mut options = scratch.options();
        options.spool = crate::spool::Spool::new(scratch.path(), 1000);
        let error = open(scratch.write("images.tgz", &compressed), options).await.unwrap_err();
        assert!(text(&error).contains("more than 1000 bytes"), "{}", text(&error));
    }
}

#[tokio::test]
async fn damaged_compression_is_an_error_where_an_archive_must_be() {
    for (name, magic) in [
        ("a.tar.zst", &b"\x28\xb5\x2f\xfd"[..]),
        ("a.tar.xz", b"\xfd7zXZ\0"),
        ("a.tbz2", b"BZh9"),
        ("a.tar", b"BZh9"),
    ] {
        let scratch = Scratch::new();
        let error = open(scratch.write(name, magic), scratch.options()).await.unwrap_err();
        assert!(matches!(error, OpenError::Decompress { size: 0, .. }), "{name}: {}", text(&error));
    }
}

#[tokio::test]
async fn a_layer_of_a_kind_that_docker_lacks_makes_an_image_of_oci() {
    let (one, two) = (layer("one"), layer("two"));
    let zstd = compress_by(Format::Zstd, &two);
    let (_scratch, archive) = open_tar(docker_archive(&config(&[&one, &two]), &[&one, &zstd])).await;
    let manifest = check(image(&archive.entries[0])).await;
    assert_eq!(manifest.media_type(), &MediaType::OCI_MANIFEST);
    let Manifest::Image(manifest) = manifest.parse().unwrap() else { panic!("this is no index") };
    let types: Vec<_> = manifest.layers.iter().map(|layer| layer.media_type.clone()).collect();
    assert_eq!(types, [MediaType::OCI_LAYER_GZIP, MediaType::OCI_LAYER_ZSTD]);
    assert_eq!(manifest.config.media_type, MediaType::OCI_CONFIG);
    assert_eq!(manifest.layers[1].digest, Digest::sha256_of(&zstd));
}

/// A layout of one image, packed.
struct Layout {
    config: String,
    layer: Vec<u8>,
    manifest: String,
}

impl Layout {
    fn new(content: &str) -> Self {
        let plain = layer(content);
        let layer = compress(&plain);
        let config = config(&[&plain]);
        let manifest = manifest(&config, &[&layer]);
        Self { config, layer, manifest }
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let contents = [self.config.as_bytes(), &self.layer, self.manifest.as_bytes()];
        contents.map(|content| (blob_path(content), content.to_vec())).into()
    }

    fn descriptor(&self) -> Value {
        describe(&MediaType::OCI_MANIFEST, &self.manifest)
    }
}

fn tagged(mut descriptor: Value, annotations: Value) -> Value {
    descriptor["annotations"] = annotations;
    descriptor
}

fn pack(index: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Tar {
    let mut tar = Tar::new().file("oci-layout", OCI_LAYOUT).file("index.json", index);
    for (path, content) in files {
        tar = tar.file(&path, content);
    }
    tar
}

fn unpack(folder: &Path, index: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) {
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    std::fs::write(folder.join("oci-layout"), OCI_LAYOUT).unwrap();
    std::fs::write(folder.join("index.json"), index).unwrap();
    for (path, content) in files {
        std::fs::write(folder.join(path), content).unwrap();
    }
}

#[tokio::test]
async fn a_layout_goes_byte_for_byte() {
    let layout = Layout::new("one");
    let names = json!({"org.opencontainers.image.ref.name": "v1"});
    let index = index(&[tagged(layout.descriptor(), names)]);
    let scratch = Scratch::new();
    unpack(&scratch.path().join("layout"), &index, layout.files());
    let packed = scratch.write("layout.tar", pack(&index, layout.files()).bytes());
    for path in [packed, scratch.path().join("layout")] {
        let archive = open(path, scratch.options()).await.unwrap();
        let manifest = check(image(archive.select(Some("v1")).unwrap())).await;
        assert_eq!(manifest.bytes(), layout.manifest.as_bytes());
        assert_eq!(manifest.digest(), &Digest::sha256_of(&layout.manifest));
    }
}

#[tokio::test]
async fn nested_indexes_go_byte_for_byte() {
    let (one, two) = (Layout::new("one"), Layout::new("two"));
    let inner = index(&[two.descriptor()]);
    let outer = index(&[one.descriptor(), describe(&MediaType::OCI_INDEX, &inner)]);
    let top = index(&[describe(&MediaType::OCI_INDEX, &outer)]);
    let indexes = [&inner, &outer].map(|index| (blob_path(index), index.clone().into_bytes()));
    let files = || one.files().into_iter().chain(two.files()).chain(indexes.clone());
    let (_scratch, archive) = open_tar(pack(&top, files())).await;
    let Artifact::Index(root) = &archive.select(None).unwrap().artifact else { panic!("{archive:?}") };
    assert_eq!(root.manifest().bytes(), outer.as_bytes());
    let [Artifact::Image(first), Artifact::Index(second)] = root.children() else { panic!("{root:?}") };
    check(first.as_ref()).await;
    assert_eq!(second.manifest().bytes(), inner.as_bytes());

    let missing = two.files();
    let error = error_of(pack(&top, files().filter(|file| file.0 != missing[1].0))).await;
    assert!(error.contains(&Digest::sha256_of(&two.layer).to_string()), "{error}");
    let error = error_of(pack(&top, files().filter(|file| file.0 != missing[2].0))).await;
    assert!(error.contains(&Digest::sha256_of(&two.manifest).to_string()), "{error}");
}

#[tokio::test]
async fn indexes_that_are_nested_too_deep_or_damaged_are_errors() {
    let mut current = index(&[Layout::new("one").descriptor()]);
    let mut files = Layout::new("one").files();
    for _ in 0..5 {
        files.push((blob_path(&current), current.clone().into_bytes()));
        current = index(&[describe(&MediaType::OCI_INDEX, &current)]);
    }
    let error = error_of(pack(&current, files)).await;
    assert!(error.contains("nested deeper than 4 levels"), "{error}");

    let layout = Layout::new("one");
    let mut files = layout.files();
    *files[2].1.last_mut().unwrap() = b' ';
    let error = error_of(pack(&index(&[layout.descriptor()]), files)).await;
    assert!(error.contains("holds other bytes"), "{error}");

    let mut files = layout.files();
    files[1].1.pop();
    let error = error_of(pack(&index(&[layout.descriptor()]), files)).await;
    assert!(error.contains("bytes instead of"), "{error}");

    let tar = Tar::new().file("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    assert!(error_of(tar).await.contains("version \"2.0.0\""));
    let tar = Tar::new().file("oci-layout", OCI_LAYOUT);
    assert!(error_of(tar).await.contains("has no index.json"));
}

#[tokio::test]
async fn a_damaged_blob_of_a_layout_is_found_when_it_is_read() {
    let layout = Layout::new("one");
    let mut files = layout.files();
    files[1].1[30] ^= 1;
    let (_scratch, archive) = open_tar(pack(&index(&[layout.descriptor()]), files)).await;
    let blob = image(&archive.entries[0]).parts()[1].ready().unwrap();
    verify(blob.as_ref()).await.unwrap_err();
}

#[tokio::test]
async fn several_images_must_be_chosen_from() {
    let (one, two) = (Layout::new("one"), Layout::new("two"));
    let name =
        |name: &str| json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": "v1"});
    let index = index(&[
        tagged(one.descriptor(), name("docker.io/library/one:v1")),
        tagged(one.descriptor(), name("docker.io/library/same:v1")),
        tagged(two.descriptor(), name("docker.io/library/two:v1")),
    ]);
    let (_scratch, archive) = open_tar(pack(&index, one.files().into_iter().chain(two.files()))).await;
    let error = archive.select(None).unwrap_err().to_string();
    assert_eq!(
        error,
        "there are 2 images, name one of them: docker.io/library/one:v1 = docker.io/library/same:v1, \
         docker.io/library/two:v1"
    );
    let chosen = archive.select(Some("two:v1")).unwrap();
    assert_eq!(image(chosen).manifest().await.unwrap().bytes(), two.manifest.as_bytes());
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

#[tokio::test]
async fn graph_driver_images_are_compressed_and_all_are_found() {
    let (tar, _) = graph_driver_archive(&json!({"sha256:00": {}}));
    let (_scratch, archive) = open_tar(tar).await;
    assert_eq!(archive.entries.len(), 2);
    for entry in &archive.entries {
        assert_eq!(check(image(entry)).await.media_type(), &MediaType::DOCKER_MANIFEST);
    }
}

#[tokio::test]
async fn other_archives_of_both_forms_are_taken_as_layouts() {
    let (tar, manifest) = graph_driver_archive(&Value::Null);
    let (_scratch, archive) = open_tar(tar).await;
    assert_eq!(image(&archive.entries[0]).manifest().await.unwrap().bytes(), manifest.as_bytes());
}

#[tokio::test]
async fn an_index_with_missing_images_is_replaced_by_the_one_that_docker_means() {
    let (one, two) = (Layout::new("one"), Layout::new("two"));
    let inner = index(&[one.descriptor(), two.descriptor()]);
    let name = json!({"io.containerd.image.name": "docker.io/library/app:v1"});
    let top = index(&[tagged(describe(&MediaType::OCI_INDEX, &inner), name)]);
    let files = || one.files().into_iter().chain([(blob_path(&inner), inner.clone().into_bytes())]);
    let layers = [blob_path(&one.layer)];
    let layers = [layers[0].as_str()];
    let items = json!([item(&blob_path(&one.config), &json!(["app:v1"]), &layers)]).to_string();
    let (_scratch, archive) = open_tar(pack(&top, files()).file("manifest.json", items)).await;
    let entry = archive.select(Some("app:v1")).unwrap();
    assert_eq!(entry.names, ["docker.io/library/app:v1"]);
    assert_eq!(entry.omitted, [Digest::sha256_of(&two.manifest)]);
    assert_eq!(image(entry).manifest().await.unwrap().bytes(), one.manifest.as_bytes());

    let error = error_of(pack(&top, files())).await;
    assert!(error.contains("refers to what is not there"), "{error}");
}

#[tokio::test]
async fn what_is_named_like_an_archive_must_hold_images() {
    let tar = Tar::new().file("etc/hosts", "x").bytes();
    let scratch = Scratch::new();
    let path = scratch.write("rootfs.tar", &tar);
    assert!(matches!(open(&path, scratch.options()).await, Err(OpenError::NotImages(_))));
    let mut options = scratch.options();
    options.form = Form::File;
    check(image(&open(&path, options).await.unwrap().entries[0])).await;

    let old = Tar::new().file("repositories", "{}").bytes();
    assert!(matches!(open_bytes(&old).await.1, Err(OpenError::TooOld(_))));
    std::fs::create_dir(scratch.path().join("folder")).unwrap();
    let opened = open(scratch.path().join("folder"), scratch.options()).await;
    assert!(matches!(opened, Err(OpenError::NotImages(_))));
    let opened = open(scratch.path().join("nothing"), scratch.options()).await;
    assert!(matches!(opened, Err(OpenError::Read { .. })));
    assert!(matches!(open("/dev/null", scratch.options()).await, Err(OpenError::NotAFile(_))));
}

#[tokio::test]
async fn a_stream_is_spooled_once_and_opened() {
    let one = layer("one");
    let bytes = docker_archive(&config(&[&one]), &[&one]).bytes();
    let scratch = Scratch::new();
    let options = scratch.options();
    let take = |bytes: Vec<u8>| receive(std::io::Cursor::new(bytes), "standard input", options.clone());
    for stream in [bytes.clone(), compress(&bytes), compress_by(Format::Zstd, &bytes)] {
        let archive = take(stream).await.unwrap();
        assert_eq!(options.spool.used(), bytes.len() as u64);
        check(image(archive.select(None).unwrap())).await;
    }
    assert_eq!(options.spool.used(), 0);

    assert!(matches!(take(Vec::new()).await, Err(OpenError::Empty(_))));
    for stream in [b"text".to_vec(), vec![0; 2000], Tar::new().file("a", "1").bytes()] {
        assert!(matches!(take(stream).await, Err(OpenError::NotImages(_))));
    }
    assert!(matches!(take(bytes[..bytes.len() / 2].to_vec()).await, Err(OpenError::Tar(_))));
    let cut = compress(&bytes);
    let result = take(cut[..cut.len() - 9].to_vec()).await;
    assert!(matches!(result, Err(OpenError::Decompress { .. })));
    let broken = std::io::Read::chain(std::io::Cursor::new(bytes.clone()), Broken);
    let error = receive(broken, "standard input", options.clone()).await.unwrap_err();
    let said = format!("cannot receive standard input: {} bytes came before: the pipe broke", bytes.len());
    assert_eq!(text(&error), said);
    let mut options = scratch.options();
    options.spool = crate::spool::Spool::new(scratch.path(), 1000);
    let error = receive(std::io::Cursor::new(bytes), "standard input", options).await.unwrap_err();
    assert!(text(&error).contains("more than 1000 bytes"), "{}", text(&error));
}

struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("the pipe broke"))
    }
}

#[tokio::test]
async fn of_an_archive_of_both_forms_either_may_be_asked_for() {
    let (tar, _) = graph_driver_archive(&json!({}));
    let scratch = Scratch::new();
    let path = scratch.write("both.tar", tar.bytes());
    for (form, media_type) in
        [(Form::Docker, MediaType::DOCKER_MANIFEST), (Form::Oci, MediaType::OCI_MANIFEST)]
    {
        let mut options = scratch.options();
        options.form = form;
        let archive = open(&path, options.clone()).await.unwrap();
        assert_eq!(check(image(&archive.entries[0])).await.media_type(), &media_type);
        let other = if form == Form::Docker {
            pack(&index(&[]), Vec::new())
        } else {
            docker_archive(&config(&[]), &[])
        };
        let other = scratch.write("other", other.bytes());
        let error = open(&other, options).await.unwrap_err();
        assert!(matches!(error, OpenError::NotDocker(_) | OpenError::NotLayout(_)), "{error}");
    }
}

#[tokio::test]
async fn any_other_file_becomes_an_image() {
    let strange = Tar::new().raw_file(b"../x", "1").file("a", "1").file("a", "2").bytes();
    for (name, content) in [
        ("hello.txt", &b"hello\n"[..]),
        ("empty", b""),
        ("data.gz", &compress(b"data")),
        ("data.xz", b"\xfd7zXZ\0data"),
        ("strange.bin", &strange),
        ("half.gz", b"\x1f\x8b\x08\x00"),
    ] {
        let scratch = Scratch::new();
        let archive = open(scratch.write(name, content), scratch.options()).await.unwrap();
        let image = image(archive.select(None).unwrap());
        check(image).await;
        assert_eq!(image.parts()[1].label(), name);
    }
}

/// A manifest of an artifact with a subject, and a descriptor of it.
fn signature(subject: &str, kind: &str) -> (String, Value) {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "artifactType": kind,
        "config": describe(&MediaType::new("application/vnd.oci.empty.v1+json"), "{}"), "layers": [],
        "subject": describe(&MediaType::OCI_MANIFEST, subject),
    })
    .to_string();
    let descriptor = describe(&MediaType::OCI_MANIFEST, &manifest);
    (manifest, descriptor)
}

#[tokio::test]
async fn referrers_are_found_in_each_form() {
    let app = Layout::new("app");
    let subject = Digest::sha256_of(&app.manifest);
    let (by_oras, oras) = signature(&app.manifest, "a/oras");
    let (by_regctl, regctl) = signature(&app.manifest, "a/regctl");
    let (of_referrer, second) = signature(&by_oras, "a/second");
    let (of_other, other) = signature("other", "a/other");
    let cosign = Layout::new("cosign");
    let fallback = index(&[regctl]);
    let name = |text: &str| json!({"org.opencontainers.image.ref.name": text});
    let outer = index(&[
        second,
        oras,
        other,
        tagged(app.descriptor(), name("v1")),
        tagged(describe(&MediaType::OCI_INDEX, &fallback), name(&format!("sha256-{}", subject.hex()))),
        tagged(cosign.descriptor(), name(&format!("sha256-{}.sig", subject.hex()))),
    ]);
    let manifests =
        [by_oras.clone(), by_regctl.clone(), of_referrer.clone(), of_other, fallback, "{}".into()];
    let files = manifests.iter().map(|content| (blob_path(content), content.as_bytes().to_vec()));
    let files = files.chain(app.files()).chain(cosign.files());
    let (_scratch, archive) = open_tar(pack(&outer, files)).await;
    let entry = archive.select(None).unwrap();
    assert_eq!(entry.names, ["v1"], "a referrer is not what is meant");
    let found = archive.referrers(&entry.artifact);
    let digests: Vec<_> =
        found.iter().map(|found| found.artifact.ready_manifest().unwrap().digest().clone()).collect();
    let expected = [&by_oras, &by_regctl, &cosign.manifest, &of_referrer].map(Digest::sha256_of);
    assert_eq!(digests, expected);
    let tags: Vec<_> = found.iter().filter_map(|found| found.tag.as_ref()).map(ToString::to_string).collect();
    assert_eq!(tags, [format!("sha256-{}.sig", subject.hex())]);
}
