//! Archives that are written here and read here; other tools read them in the end-to-end tests.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    ArchiveForm, ArchiveName, ArchiveWriter, CopyError, Plan, PlanError, SavedImage, WriteError,
    write_artifact,
};
use crate::{
    archive::{
        Archive, open,
        testing::{Scratch, Tar, compress, config, describe, index, layer, manifest},
    },
    blob::BlobError,
    digest::{Algorithm, Digest, Digester},
    image::Artifact,
    manifest::RawManifest,
    media_type::MediaType,
};

fn name(host: Option<&str>, image: &str) -> ArchiveName {
    ArchiveName::Image { host: host.map(Into::into), image: image.parse().unwrap() }
}

struct Sample {
    config: String,
    layer: Vec<u8>,
    manifest: RawManifest,
}

impl Sample {
    fn new(content: &str) -> Self {
        let plain = layer(content);
        let config = config(&[&plain]);
        let layer = compress(&plain);
        let manifest = manifest(&config, &[&layer]);
        let manifest = RawManifest::new(MediaType::OCI_MANIFEST, manifest.into()).unwrap();
        Self { config, layer, manifest }
    }

    fn saved(&self, names: Vec<ArchiveName>) -> SavedImage {
        SavedImage { manifest: self.manifest.clone(), names }
    }

    fn child(&self, architecture: &str) -> Value {
        let mut descriptor = describe(&MediaType::OCI_MANIFEST, self.manifest.bytes());
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        descriptor
    }
}

fn make_index(children: &[Value]) -> RawManifest {
    RawManifest::new(MediaType::OCI_INDEX, Bytes::from(index(children))).unwrap()
}

async fn write(plan: Plan, contents: &[&[u8]]) -> Result<Vec<u8>, WriteError> {
    let mut writer = ArchiveWriter::new(Vec::new(), plan).await?;
    for content in contents {
        writer.begin_blob(&Digest::sha256_of(content)).await?;
        for piece in content.chunks(100) {
            writer.write(piece).await?;
        }
        writer.end_blob().await?;
    }
    writer.finish().await
}

async fn reopen(bytes: &[u8]) -> (Scratch, Archive) {
    let scratch = Scratch::new();
    let archive = open(scratch.write("saved.tar", bytes), scratch.options()).await.unwrap();
    (scratch, archive)
}

fn member(bytes: &[u8], path: &str) -> Option<Value> {
    let mut archive = tar::Archive::new(bytes);
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let entry = entries.find(|entry| entry.path().unwrap().to_str() == Some(path))?;
    Some(serde_json::from_reader(entry).unwrap())
}

#[tokio::test]
async fn what_is_written_is_read_again_and_always_the_same() {
    let sample = Sample::new("one");
    let names = vec![name(Some("10.0.0.1:5000"), "a/b:v1"), name(None, "c:latest")];
    let plan = Plan::new(&[sample.saved(names)], &[]).unwrap();
    let contents = [sample.config.as_bytes(), sample.layer.as_slice()];
    let bytes = write(plan.clone(), &contents).await.unwrap();
    assert_eq!(bytes.len() as u64, plan.size());
    assert_eq!(bytes, write(plan.clone(), &contents).await.unwrap());

    let (_scratch, archive) = reopen(&bytes).await;
    let entry = archive.select(None).unwrap();
    assert_eq!(entry.names, ["10.0.0.1:5000/a/b:v1", "docker.io/library/c:latest"]);
    let Artifact::Image(image) = &entry.artifact else { panic!("{entry:?}") };
    assert_eq!(image.manifest().await.unwrap(), sample.manifest);
    for part in image.parts() {
        crate::blob::verify(part.ready().unwrap().as_ref()).await.unwrap();
    }

    let items = member(&bytes, "manifest.json").unwrap();
    assert_eq!(items[0]["RepoTags"], json!(["10.0.0.1:5000/a/b:v1", "c:latest"]));
    let entries = member(&bytes, "index.json").unwrap();
    assert_eq!(entries["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "v1");
    assert_eq!(
        entries["manifests"][1]["annotations"]["io.containerd.image.name"],
        "docker.io/library/c:latest"
    );
}

#[tokio::test]
async fn contents_may_be_written_in_place() {
    let sample = Sample::new("one");
    let plan = Plan::new(&[sample.saved(Vec::new())], &[]).unwrap();
    let contents = [sample.config.as_bytes(), sample.layer.as_slice()];
    let expected = write(plan.clone(), &contents).await.unwrap();
    let mut bytes = vec![0; usize::try_from(plan.size()).unwrap()];
    let in_place = plan.blobs().iter().map(|blob| blob.start).zip(contents);
    for (offset, piece) in plan.fixed().chain(in_place) {
        let offset = usize::try_from(offset).unwrap();
        bytes[offset..offset + piece.len()].copy_from_slice(piece);
    }
    assert!(bytes == expected);
}

#[tokio::test]
async fn an_index_is_saved_whole_and_docker_gets_one_of_its_images() {
    let (one, two) = (Sample::new("one"), Sample::new("two"));
    let index = make_index(&[one.child("arm64"), two.child("amd64")]);
    let saved = SavedImage { manifest: index.clone(), names: vec![name(None, "a:v1")] };
    let plan = Plan::new(&[saved], &[two.manifest.clone(), one.manifest.clone()]).unwrap();
    let contents = [one.config.as_bytes(), &one.layer, two.config.as_bytes(), &two.layer];
    let bytes = write(plan, &contents).await.unwrap();
    let items = member(&bytes, "manifest.json").unwrap();
    let hex = Digest::sha256_of(&two.config).hex().to_owned();
    assert_eq!(items[0]["Config"], format!("blobs/sha256/{hex}"));
    assert_eq!(items.as_array().unwrap().len(), 1);
    let (_scratch, archive) = reopen(&bytes).await;
    let Artifact::Index(read) = &archive.select(Some("a:v1")).unwrap().artifact else {
        panic!("{archive:?}")
    };
    assert_eq!(read.manifest(), &index);
    assert_eq!(read.children().len(), 2);
}

#[tokio::test]
async fn a_form_may_stand_alone() {
    let sample = Sample::new("one");
    let contents = [sample.config.as_bytes(), sample.layer.as_slice()];
    let saved = [sample.saved(vec![ArchiveName::Text("docker.io/library/app:v1".into())])];
    let plan = Plan::of(ArchiveForm::Oci, &saved, &[]).unwrap();
    let bytes = write(plan, &contents).await.unwrap();
    assert_eq!(member(&bytes, "manifest.json"), None);
    let (_scratch, archive) = reopen(&bytes).await;
    assert_eq!(archive.select(None).unwrap().names, ["docker.io/library/app:v1"]);

    let plan = Plan::of(ArchiveForm::Docker, &saved, &[]).unwrap();
    let bytes = write(plan.clone(), &contents).await.unwrap();
    assert_eq!(bytes.len() as u64, plan.size());
    let [config, layer] = contents.map(|content| Digest::sha256_of(content).hex().to_owned());
    let item = json!([{
        "Config": format!("{config}.json"),
        "RepoTags": ["docker.io/library/app:v1"],
        "Layers": [format!("{layer}.tar")],
    }]);
    assert_eq!(member(&bytes, "manifest.json"), Some(item));
    assert_eq!((member(&bytes, "index.json"), member(&bytes, "oci-layout")), (None, None));
    let (_scratch, archive) = reopen(&bytes).await;
    let Artifact::Image(image) = &archive.select(Some("app:v1")).unwrap().artifact else { panic!() };
    assert_eq!(image.parts().len(), 2);
}

#[test]
fn a_docker_archive_holds_images_of_dockers_alone() {
    let sample = Sample::new("one");
    let of = |manifest: &RawManifest| {
        let saved = SavedImage { manifest: manifest.clone(), names: Vec::new() };
        Plan::of(ArchiveForm::Docker, &[saved], std::slice::from_ref(&sample.manifest)).unwrap_err()
    };
    let index = make_index(&[sample.child("amd64")]);
    assert!(matches!(of(&index), PlanError::Index(digest) if digest == *index.digest()));
    let empty = describe(&MediaType::new("application/vnd.oci.empty.v1+json"), "{}");
    let artifact = json!({"schemaVersion": 2, "config": empty, "layers": [empty]}).to_string();
    let artifact = RawManifest::new(MediaType::OCI_MANIFEST, artifact.into()).unwrap();
    assert!(matches!(of(&artifact), PlanError::NotDockers(digest) if digest == *artifact.digest()));
}

#[tokio::test]
async fn artifacts_that_docker_cannot_load_are_not_offered_to_it() {
    let blob = b"{}";
    let descriptor = describe(&MediaType::new("application/vnd.oci.empty.v1+json"), blob);
    let manifest = json!({"schemaVersion": 2, "config": descriptor, "layers": [descriptor]}).to_string();
    let manifest = RawManifest::new(MediaType::OCI_MANIFEST, manifest.into()).unwrap();
    let plan = Plan::new(&[SavedImage { manifest, names: Vec::new() }], &[]).unwrap();
    assert_eq!(plan.blobs().len(), 1);
    let bytes = write(plan, &[blob]).await.unwrap();
    assert_eq!(member(&bytes, "manifest.json"), None);
    reopen(&bytes).await.1.select(None).unwrap();
}

#[tokio::test]
async fn blobs_must_be_what_they_are_called() {
    let sample = Sample::new("one");
    let plan = Plan::new(&[sample.saved(Vec::new())], &[]).unwrap();
    let [config, layer] = [&sample.config.as_bytes(), &sample.layer.as_slice()].map(Digest::sha256_of);
    let mut writer = ArchiveWriter::new(Vec::new(), plan).await.unwrap();
    assert!(matches!(writer.begin_blob(&layer).await, Err(WriteError::Order { .. })));
    assert!(matches!(writer.write(b"x").await, Err(WriteError::State)));
    assert!(matches!(writer.end_blob().await, Err(WriteError::State)));
    writer.begin_blob(&config).await.unwrap();
    assert!(matches!(writer.begin_blob(&config).await, Err(WriteError::State)));
    writer.write(sample.config.as_bytes()).await.unwrap();
    writer.end_blob().await.unwrap();
    writer.begin_blob(&layer).await.unwrap();
    let mut damaged = sample.layer.clone();
    damaged[20] ^= 1;
    writer.write(&damaged).await.unwrap();
    assert!(matches!(writer.write(b"more").await, Err(WriteError::Blob(BlobError::Size { .. }))));
    assert!(matches!(writer.finish().await, Err(WriteError::Missing(digest)) if digest == layer));

    let plan = Plan::new(&[sample.saved(Vec::new())], &[]).unwrap();
    let mut writer = ArchiveWriter::new(Vec::new(), plan).await.unwrap();
    writer.begin_blob(&config).await.unwrap();
    writer.write(sample.config.replace("amd64", "arm64").as_bytes()).await.unwrap();
    assert!(matches!(writer.end_blob().await, Err(WriteError::Blob(BlobError::Digest { .. }))));
}

#[tokio::test]
async fn plans_need_all_manifests() {
    let sample = Sample::new("one");
    let manifest = make_index(&[sample.child("amd64")]);
    let saved = SavedImage { manifest, names: Vec::new() };
    let error = Plan::new(std::slice::from_ref(&saved), &[]).unwrap_err();
    assert!(matches!(error, PlanError::MissingChild(digest) if digest == *sample.manifest.digest()));

    let (deepest, mut children) = (sample.manifest.digest().clone(), vec![saved.manifest]);
    for levels in 1..=5 {
        let root = SavedImage { manifest: children.pop().unwrap(), names: Vec::new() };
        let below = [&children[..], std::slice::from_ref(&sample.manifest)].concat();
        match Plan::new(std::slice::from_ref(&root), &below) {
            Ok(_) => assert!(levels <= 4),
            Err(error) => {
                let expected = format!("manifest {deepest} is nested deeper than 4 levels");
                assert!(levels == 5 && error.to_string() == expected, "{error}");
            }
        }
        let child = describe(&MediaType::OCI_INDEX, root.manifest.bytes());
        children.extend([root.manifest, make_index(&[child])]);
    }
}

#[test]
fn plans_have_a_limit_of_manifests() {
    let manifest = |number: usize| {
        let text =
            json!({"schemaVersion": 2, "manifests": [], "annotations": {"number": number.to_string()}});
        RawManifest::new(MediaType::OCI_INDEX, Bytes::from(text.to_string())).unwrap()
    };
    let saved = |count| {
        let images = (0..count).map(|number| SavedImage { manifest: manifest(number), names: Vec::new() });
        Plan::new(&images.collect::<Vec<_>>(), &[])
    };
    saved(1024).unwrap();
    assert_eq!(saved(1025).unwrap_err().to_string(), "there are more than 1024 manifests");
}

#[tokio::test]
async fn any_artifact_can_be_saved() {
    let scratch = Scratch::new();
    let path = scratch.write("hello.txt", "hello\n");
    let file = open(path, scratch.options()).await.unwrap();
    let artifact = &file.entries[0].artifact;
    let bytes = write_artifact(artifact, vec![name(None, "files/hello:latest")], Vec::new()).await.unwrap();
    let (_scratch, archive) = reopen(&bytes).await;
    let Artifact::Image(image) = &archive.select(Some("files/hello")).unwrap().artifact else { panic!() };
    let blob = image.parts()[1].ready().unwrap();
    assert_eq!(blob.descriptor().annotations["org.opencontainers.image.title"], "hello.txt");
    let content = blob.read_at(0, usize::try_from(blob.descriptor().size).unwrap()).await.unwrap();
    let mut unpacked = Vec::new();
    super::unpack_layer(&blob.descriptor().media_type, content.as_ref(), &mut unpacked).unwrap();
    assert_eq!(unpacked, b"hello\n");
}

#[tokio::test]
async fn a_damaged_source_is_not_saved() {
    let (scratch, plain) = (Scratch::new(), layer("one"));
    let config = config(&[&plain]);
    let items = json!([{"Config": "c.json", "RepoTags": null, "Layers": ["l.tar"]}]).to_string();
    let tar = Tar::new().file("manifest.json", items).file("c.json", config).file("l.tar", layer("two"));
    let archive = open(scratch.write("bad.tar", tar.bytes()), scratch.options()).await.unwrap();
    let error = write_artifact(&archive.entries[0].artifact, Vec::new(), Vec::new()).await.unwrap_err();
    assert!(matches!(error, CopyError::Source(_)));
}

/// SHA-512 is as good as SHA-256, for whoever has it.
#[tokio::test]
async fn digests_may_be_of_another_algorithm() {
    let sha512 = |content: &[u8]| {
        let mut digester = Digester::new(Algorithm::Sha512);
        digester.update(content);
        digester.finish()
    };
    let sample = Sample::new("one");
    let contents = [sample.config.as_bytes(), sample.layer.as_slice()];
    let describe = |media_type: &MediaType, content: &[u8]| json!({"mediaType": media_type, "digest": sha512(content), "size": content.len()});
    let [config, layer] =
        [describe(&MediaType::OCI_CONFIG, contents[0]), describe(&MediaType::OCI_LAYER_GZIP, contents[1])];
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
    let digest = sha512(manifest.as_bytes());
    let manifest = RawManifest::verified(MediaType::OCI_MANIFEST, manifest.into(), &digest).unwrap();
    let plan = Plan::new(&[SavedImage { manifest, names: Vec::new() }], &[]).unwrap();
    let mut writer = ArchiveWriter::new(Vec::new(), plan.clone()).await.unwrap();
    for content in contents {
        writer.begin_blob(&sha512(content)).await.unwrap();
        writer.write(content).await.unwrap();
        writer.end_blob().await.unwrap();
    }
    let (_scratch, archive) = reopen(&writer.finish().await.unwrap()).await;
    let Artifact::Image(image) = &archive.select(None).unwrap().artifact else { panic!() };
    assert_eq!(*image.manifest().await.unwrap().digest(), digest);
    for part in image.parts() {
        crate::blob::verify(part.ready().unwrap().as_ref()).await.unwrap();
    }

    let mut writer = ArchiveWriter::new(Vec::new(), plan).await.unwrap();
    writer.begin_blob(&sha512(contents[0])).await.unwrap();
    writer.write(sample.config.replace("amd64", "arm64").as_bytes()).await.unwrap();
    assert!(matches!(writer.end_blob().await, Err(WriteError::Blob(BlobError::Digest { .. }))));
}
