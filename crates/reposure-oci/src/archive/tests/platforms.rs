//! One image of an archive with several, and what comes with it.

use super::{
    layout::{Layout, tagged},
    *,
};

fn of_platform(mut descriptor: Value, os: &str, architecture: &str) -> Value {
    descriptor["platform"] = json!({"os": os, "architecture": architecture});
    descriptor
}

/// Opens an archive for one platform; what it holds then is one image, and what of its index is not there.
async fn open_only(tar: Tar, platform: &str) -> (Scratch, Entry) {
    let scratch = Scratch::new();
    let options = Options { only: Some(platform.parse().unwrap()), ..scratch.options() };
    let mut archive = open(scratch.write("images.tar", tar.bytes()), options).await.unwrap();
    assert_eq!(archive.entries.len(), 1);
    (scratch, archive.entries.remove(0))
}

/// What `BuildKit` adds to each image: a manifest of no platform, whose layer is a statement.
fn attestation(subject: &str) -> (Vec<(String, Vec<u8>)>, Value) {
    let (config, statement) = (config(&[]), r#"{"_type":"https://in-toto.io/Statement/v0.1"}"#);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": describe(&MediaType::OCI_CONFIG, &config),
        "layers": [describe(&MediaType::new("application/vnd.in-toto+json"), statement)],
    })
    .to_string();
    let reference = json!({
        "vnd.docker.reference.digest": Digest::sha256_of(subject), "vnd.docker.reference.type": "attestation-manifest",
    });
    let descriptor =
        of_platform(tagged(describe(&MediaType::OCI_MANIFEST, &manifest), reference), "unknown", "unknown");
    let files =
        [config, statement.into(), manifest].map(|content| (blob_path(&content), content.into_bytes()));
    (files.into(), descriptor)
}

#[tokio::test]
async fn attestations_go_with_the_index_and_are_never_the_image_that_is_meant() {
    let app = Layout::new("app");
    let (statement, descriptor) = attestation(&app.manifest);
    // Before the image, so that whoever takes the first one is wrong.
    let inner = index(&[descriptor.clone(), of_platform(app.descriptor(), "linux", "amd64")]);
    let top = index(&[describe(&MediaType::OCI_INDEX, &inner)]);
    let without = || app.files().into_iter().chain([(blob_path(&inner), inner.clone().into_bytes())]);
    let whole = || pack(&top, without().chain(statement.clone()));

    let (_scratch, archive) = open_tar(whole()).await;
    let entry = archive.select(None).unwrap();
    let Artifact::Index(found) = &entry.artifact else { panic!("{entry:?}") };
    assert_eq!((found.manifest().bytes(), found.children().len()), (&inner.clone().into(), 2));
    for tar in [whole(), pack(&top, without())] {
        let (_scratch, entry) = open_only(tar, "linux/amd64").await;
        assert_eq!(check(image(&entry)).await.bytes(), app.manifest.as_bytes());
    }
    let (_scratch, entry) = open_only(whole(), "linux/arm64").await;
    assert!(matches!(entry.artifact, Artifact::Index(_)), "there is no image of it: {entry:?}");

    // `docker save` leaves out what was not pulled, and lists the image.
    let items = json!([item(&blob_path(&app.config), &json!(["app:v1"]), &[&blob_path(&app.layer)])]);
    let (_scratch, archive) = open_tar(pack(&top, without()).file("manifest.json", items.to_string())).await;
    let entry = archive.select(Some("app:v1")).unwrap();
    assert_eq!(check(image(entry)).await.bytes(), app.manifest.as_bytes());
    assert_eq!(entry.omitted, [descriptor["digest"].as_str().unwrap().parse().unwrap()]);
}

#[tokio::test]
async fn layers_that_are_not_distributed_may_be_away() {
    let app = Layout::new("app");
    let foreign = MediaType::new("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let mut base = describe(&foreign, "the base of Windows");
    base["urls"] = json!(["https://mcr.example/base"]);
    let layers = json!([base, describe(&MediaType::DOCKER_LAYER_GZIP, &app.layer)]);
    let text = json!({
        "schemaVersion": 2, "mediaType": MediaType::DOCKER_MANIFEST,
        "config": describe(&MediaType::DOCKER_CONFIG, &app.config), "layers": layers,
    })
    .to_string();
    let linux = Layout::new("linux");
    let inner = index(&[
        of_platform(linux.descriptor(), "linux", "amd64"),
        of_platform(describe(&MediaType::DOCKER_MANIFEST, &text), "windows", "amd64"),
    ]);
    let top = index(&[describe(&MediaType::OCI_INDEX, &inner)]);
    let manifests = [&inner, &text].map(|text| (blob_path(text), text.clone().into_bytes()));
    let files = || app.files().into_iter().chain(manifests.clone());
    for (more, parts) in
        [(Vec::new(), 2), (vec![(blob_path("the base of Windows"), b"the base of Windows".into())], 3)]
    {
        let (_scratch, entry) = open_only(pack(&top, files().chain(more)), "windows/amd64").await;
        let image = image(&entry);
        assert_eq!(image.manifest().await.unwrap().bytes(), text.as_bytes());
        assert_eq!(image.parts().len(), parts);
        let last = image.parts().last().unwrap().ready().unwrap();
        assert_eq!(last.descriptor().digest, Digest::sha256_of(&app.layer));
        verify(last.as_ref()).await.unwrap();
    }
    // The image of Linux has no such layer, and is not there.
    let error = error_of(pack(&top, files())).await;
    assert!(error.contains(&Digest::sha256_of(&linux.manifest).to_string()), "{error}");
    assert!(!error.contains(&Digest::sha256_of("the base of Windows").to_string()), "{error}");
}
