//! Docker-archives, good and bad.

use super::*;

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

#[tokio::test]
async fn graph_driver_images_are_compressed_and_all_are_found() {
    let (tar, _) = graph_driver_archive(&json!({"sha256:00": {}}));
    let (_scratch, archive) = open_tar(tar).await;
    assert_eq!(archive.entries.len(), 2);
    for entry in &archive.entries {
        assert_eq!(check(image(entry)).await.media_type(), &MediaType::DOCKER_MANIFEST);
    }
}
