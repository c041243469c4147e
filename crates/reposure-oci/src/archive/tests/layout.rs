//! OCI layouts and archives, good and bad, and archives of both forms.

use super::*;

/// A layout of one image, packed.
pub(super) struct Layout {
    pub(super) config: String,
    pub(super) layer: Vec<u8>,
    pub(super) manifest: String,
}

impl Layout {
    pub(super) fn new(content: &str) -> Self {
        let plain = layer(content);
        let layer = compress(&plain);
        let config = config(&[&plain]);
        let manifest = manifest(&config, &[&layer]);
        Self { config, layer, manifest }
    }

    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let contents = [self.config.as_bytes(), &self.layer, self.manifest.as_bytes()];
        contents.map(|content| (blob_path(content), content.to_vec())).into()
    }

    pub(super) fn descriptor(&self) -> Value {
        describe(&MediaType::OCI_MANIFEST, &self.manifest)
    }
}

pub(super) fn tagged(mut descriptor: Value, annotations: Value) -> Value {
    descriptor["annotations"] = annotations;
    descriptor
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
    insta::assert_snapshot!(error, @"images.tar cannot be used: index.json (from byte 1536) names sha256:1d2446cd556a692dcdf6b47d20e3d025e07bc04c00400c272ba1cb6e60f2caca, which refers to what is not there: sha256:42705d653bbdc9ce49c9796ec2d358682462f62b5c6349907d26c23f4945cafd");
    let error = error_of(pack(&top, files().filter(|file| file.0 != missing[2].0))).await;
    insta::assert_snapshot!(error, @"images.tar cannot be used: index.json (from byte 1536) names sha256:1d2446cd556a692dcdf6b47d20e3d025e07bc04c00400c272ba1cb6e60f2caca, which refers to what is not there: sha256:ff27dcf8b119e80ec813d276028ca7d56f642c99617f91555780e5077a10f931");
    let error = error_of(pack(&top, two.files())).await;
    insta::assert_snapshot!(error, @"images.tar cannot be used: index.json (from byte 1536) names sha256:1d2446cd556a692dcdf6b47d20e3d025e07bc04c00400c272ba1cb6e60f2caca, which is not there");
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
    insta::assert_snapshot!(error, @"images.tar cannot be used: manifest blobs/sha256/9392b0a0c58e47d1587f2311fc8d90fcf80d3a09710c2191fdf5ae2a0a81601b (from byte 4608) is nested deeper than 4 levels");

    let layout = Layout::new("one");
    let mut files = layout.files();
    *files[2].1.last_mut().unwrap() = b' ';
    let error = error_of(pack(&index(&[layout.descriptor()]), files)).await;
    insta::assert_snapshot!(error, @"images.tar cannot be used: manifest blobs/sha256/9392b0a0c58e47d1587f2311fc8d90fcf80d3a09710c2191fdf5ae2a0a81601b (from byte 4608) cannot be used: the manifest sha256:9392b0a0c58e47d1587f2311fc8d90fcf80d3a09710c2191fdf5ae2a0a81601b holds other bytes, of digest sha256:24d2df47c280c11aa2dbb09013f0abe559e83529f7f961de155e7233121b2046");

    let mut files = layout.files();
    files[1].1.pop();
    insta::assert_snapshot!(error_of(pack(&index(&[layout.descriptor()]), files)).await, @"images.tar cannot be used: blobs/sha256/0ee3db4c9743b859cca6ee4828ec71ee4fcfd8c8dbfd15c30004de32fa5bbd95 (from byte 3584) has 91 bytes instead of 92");
    let text = layout.manifest.replace("\"layers\"", "\"strata\"");
    let (top, files) =
        (index(&[describe(&MediaType::OCI_MANIFEST, &text)]), [(blob_path(&text), text.into())]);
    insta::assert_snapshot!(error_of(pack(&top, files)).await, @"images.tar cannot be used: manifest blobs/sha256/d672123f0e66aa412bba7f53af62ce4f517185a24fe18d6a0f4c356677efe49b (from byte 2560) cannot be used: the application/vnd.oci.image.manifest.v1+json is malformed: missing field `layers` at line 2 column 348");

    let tar = Tar::new().file("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    insta::assert_snapshot!(error_of(tar).await, @r#"images.tar cannot be used: oci-layout (from byte 512) says version "2.0.0", where 1.0.0 is known"#);
    let tar = || Tar::new().file("oci-layout", OCI_LAYOUT);
    insta::assert_snapshot!(error_of(tar()).await, @"images.tar cannot be used: the OCI layout has no index.json");
    insta::assert_snapshot!(error_of(tar().file("index.json", "{}")).await, @"images.tar cannot be used: index.json (from byte 1536) is malformed: missing field `schemaVersion` at line 1 column 2");
}

#[tokio::test]
async fn manifests_levels_and_layers_are_taken_up_to_a_limit() {
    let layout = Layout::new("one");
    let wide = |count| pack(&index(&vec![layout.descriptor(); count]), layout.files());
    assert_eq!(open_tar(wide(1024)).await.1.entries.len(), 1);
    insta::assert_snapshot!(error_of(wide(1025)).await, @"images.tar cannot be used: index.json (from byte 1536) leads to more than 1024 manifests");

    let deep = |levels| {
        let (mut files, mut child) = (layout.files(), layout.descriptor());
        for _ in 0..levels {
            let above = index(&[child]);
            child = describe(&MediaType::OCI_INDEX, &above);
            files.push((blob_path(&above), above.into_bytes()));
        }
        pack(&index(&[child]), files)
    };
    assert!(matches!(open_tar(deep(4)).await.1.entries[0].artifact, Artifact::Index(_)));
    insta::assert_snapshot!(error_of(deep(5)).await, @"images.tar cannot be used: manifest blobs/sha256/9392b0a0c58e47d1587f2311fc8d90fcf80d3a09710c2191fdf5ae2a0a81601b (from byte 4608) is nested deeper than 4 levels");

    let layers = |count| {
        let text = manifest(&layout.config, &vec![layout.layer.as_slice(); count]);
        let top = index(&[describe(&MediaType::OCI_MANIFEST, &text)]);
        pack(&top, layout.files().into_iter().chain([(blob_path(&text), text.into_bytes())]))
    };
    assert_eq!(image(&open_tar(layers(128)).await.1.entries[0]).parts().len(), 129);
    insta::assert_snapshot!(error_of(layers(129)).await, @"images.tar cannot be used: manifest blobs/sha256/924e0fd3e9824c1e720377da9902d9e26130b5ce3c1d0a1bd418a43f15cfba6b (from byte 5632) has 129 layers, over the limit of 128");
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
