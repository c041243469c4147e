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
    insta::assert_snapshot!(error_of(docker_archive(&config(&[&one, &two]), &[&one])).await, @"images.tar cannot be used: manifest.json (from byte 4096) names 1 layers, where configuration d80ca575bc0f74098d3b763106d9e476934d3937322f1b1d132182cba7a33cb4.json (from byte 512) has 2 diff IDs");

    let (scratch, archive) = open_tar(docker_archive(&config(&[&one]), &[&two])).await;
    let error = text(image(&archive.entries[0]).manifest().await.unwrap_err().as_ref());
    insta::assert_snapshot!(scratch.without_folder(&error), @"the image has a layer that cannot be had: layer 0/layer.tar (from byte 1536 of images.tar) is damaged: its diff ID is sha256:a65ac103015202daeb4ed79cdf55b2b5f99a1174e7e6b971b50dcfc06f9a8fc2, where the configuration has sha256:a34009745165d1d36d826cc7fdae5af0a3e24e2aa8cdd9049f22cabac4d02dbc");
}

#[tokio::test]
async fn what_a_docker_archive_names_must_be_there() {
    let config = config(&[]);
    let manifest = |items: Value| Tar::new().file("manifest.json", items.to_string());
    let items = |config: &str, layers: &[&str]| json!([item(config, &Value::Null, layers)]);
    let error = error_of(manifest(items("config.json", &[]))).await;
    insta::assert_snapshot!(error, @"images.tar cannot be used: manifest.json (from byte 512) names configuration config.json, which is not there");

    let one = layer("one");
    let named = self::config(&[&one]);
    let error = error_of(manifest(items("c.json", &["x/layer.tar"])).file("c.json", named)).await;
    insta::assert_snapshot!(error, @"images.tar cannot be used: manifest.json (from byte 512) names layer x/layer.tar, which is not there");

    let name = config_name("something else");
    let error = error_of(manifest(items(&name, &[])).file(&name, &config)).await;
    insta::assert_snapshot!(error, @"images.tar cannot be used: configuration f41f3fa625ff120ddca7ef456bf66371ecea23c129f4e4c32367101edb516cf8.json (from byte 1536) is damaged: its digest is sha256:c5b1d63604f273462ef36fadac3182d43ae6a6138731cf594b314835cf1c034f");

    let error = error_of(manifest(items("../config.json", &[]))).await;
    insta::assert_snapshot!(error, @r#"images.tar cannot be used: manifest.json (from byte 512) names a file that cannot be had: path "../config.json" leads upwards"#);
    let error = error_of(manifest(json!({"not": "a list"}))).await;
    insta::assert_snapshot!(error, @"images.tar cannot be used: manifest.json (from byte 512) is malformed: invalid type: map, expected a sequence at line 1 column 0");
    let error = error_of(manifest(items("c.json", &[])).file("c.json", "{\"rootfs\": 1}")).await;
    insta::assert_snapshot!(error, @"images.tar cannot be used: configuration c.json (from byte 1536) is malformed: invalid type: integer `1`, expected struct RootFs at line 1 column 12");
}

#[tokio::test]
async fn images_and_layers_are_taken_up_to_a_limit() {
    let images = |count| {
        let items = vec![item("config.json", &Value::Null, &[]); count];
        Tar::new().file("config.json", config(&[])).file("manifest.json", Value::from(items).to_string())
    };
    assert_eq!(open_tar(images(1024)).await.1.entries.len(), 1024);
    insta::assert_snapshot!(error_of(images(1025)).await, @"images.tar cannot be used: manifest.json (from byte 1536) names 1025 images, over the limit of 1024");

    let one = layer("one");
    let layers = |count| {
        let items = json!([item("config.json", &Value::Null, &vec!["layer.tar"; count])]).to_string();
        let tar = Tar::new().file("config.json", config(&vec![one.as_slice(); count]));
        tar.file("layer.tar", &one).file("manifest.json", items)
    };
    assert_eq!(image(&open_tar(layers(128)).await.1.entries[0]).parts().len(), 129);
    insta::assert_snapshot!(error_of(layers(129)).await, @"images.tar cannot be used: manifest.json (from byte 13312) names 129 layers of configuration config.json (from byte 512), over the limit of 128");
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
