//! What refers to an image: listed, and pushed with it.

use std::fs;

use reposure_testing::{RandomImage, digest_of};
use serde_json::{Value, json};

use crate::TestEnvironment;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A layout with an image `v1`, an SBOM as oras has it, and a signature as cosign has it.
struct Layout {
    image: String,
    sbom: String,
    signature: String,
}

impl Layout {
    fn write(environment: &TestEnvironment, name: &str) -> Self {
        let image = RandomImage::new(1, 1, 1000).unwrap();
        let signature = RandomImage::new(2, 1, 100).unwrap();
        let subject = descriptor(image.manifest());
        let sbom = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/spdx+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2},
            "layers": [], "subject": subject,
        })
        .to_string();
        let tag = digest_of(image.manifest()).replace(':', "-") + ".sig";
        let mut contents = vec![image.manifest().to_vec(), signature.manifest().to_vec(), b"{}".to_vec()];
        contents.push(sbom.clone().into());
        contents.extend(image.blobs().into_iter().chain(signature.blobs()).map(|blob| blob.to_vec()));
        for content in contents {
            let path = format!("{name}/blobs/sha256/{}", digest_of(&content).trim_start_matches("sha256:"));
            environment.write(&path, content);
        }
        let index = json!({"schemaVersion": 2, "manifests": [
            named(subject, "v1"), descriptor(sbom.as_bytes()), named(descriptor(signature.manifest()), &tag),
        ]});
        environment.write(&format!("{name}/index.json"), index.to_string());
        environment.write(&format!("{name}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
        let [image, signature] = [&image, &signature].map(|image| digest_of(image.manifest()));
        Self { image, sbom: digest_of(sbom.as_bytes()), signature }
    }
}

fn descriptor(content: &[u8]) -> Value {
    json!({"mediaType": MANIFEST, "digest": digest_of(content), "size": content.len()})
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({REF_NAME: name});
    descriptor
}

fn listed(environment: &TestEnvironment, args: &[&str]) -> Vec<String> {
    let all = [&["image", "referrers", "default", "app:v1", "-o", "name"], args].concat();
    environment.ok(&all).lines().map(Into::into).collect()
}

#[test]
fn referrers_are_pushed_and_listed() {
    for api in [true, false] {
        let environment = TestEnvironment::new();
        environment.registry().change_quirks(|quirks| quirks.referrers = api);
        let layout = Layout::write(&environment, "layout");
        environment.ok(&["image", "push", "default", "app:v1", "layout"]);
        assert!(listed(&environment, &[]).is_empty());
        let pushed =
            environment.ok(&["image", "push", "default", "app:v1", "layout", "--referrers", "-o", "json"]);
        let pushed: Value = serde_json::from_str(&pushed).unwrap();
        assert_eq!(pushed["digest"], *layout.image);
        assert_eq!(pushed["referrers"], json!([layout.sbom, layout.signature]));
        assert_eq!(listed(&environment, &[]), [layout.sbom.clone(), layout.signature.clone()]);
        let found = listed(&environment, &["--artifact-type", "application/spdx+json"]);
        assert_eq!(found.join(" "), layout.sbom);
        assert!(listed(&environment, &["--artifact-type", "a/b"]).is_empty());
        assert_eq!(environment.ok(&["image", "list", "default"]), "app:v1\n", "their tags are no images");
        let json = environment.ok(&["image", "referrers", "default", "app:v1", "-o", "json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json[0]["artifactType"], "application/spdx+json");
        assert_eq!(json[1]["tag"], *(layout.image.replace(':', "-") + ".sig"));
    }
}

#[test]
fn referrers_are_no_images_of_their_own_among_all() {
    let environment = TestEnvironment::new();
    let layout = Layout::write(&environment, "layout");
    let push = |args: &[&str]| {
        environment.ok(&[&["image", "push", "default", "app", "layout", "--all"], args].concat())
    };
    let alone = environment.run(&["image", "push", "default", "app", "layout", "--all"]);
    assert_eq!((alone.code, alone.text().trim_end()), (0, layout.image.as_str()));
    insta::assert_snapshot!(alone.stderr, @"warning: 2 that only refer to images are left out: --referrers takes them along");
    assert_eq!(environment.registry().tags("app"), ["v1"]);
    let pushed: Value = serde_json::from_str(&push(&["--referrers", "-o", "json"])).unwrap();
    let expected =
        json!([{"name": "app:v1", "digest": layout.image, "referrers": [layout.sbom, layout.signature]}]);
    assert_eq!(pushed, expected);

    let index = fs::read(environment.path("layout/index.json")).unwrap();
    let mut index: Value = serde_json::from_slice(&index).unwrap();
    index["manifests"].as_array_mut().unwrap().remove(0);
    environment.write("layout/index.json", index.to_string());
    insta::assert_snapshot!(environment.run(&["image", "push", "default", "app", "layout", "--all"]), @r"
    [2]
    error: layout holds no image, but only what refers to others
      try: push one of them by itself: --source-tag @0
    ");
}

#[test]
fn what_a_registry_says_steers_no_terminal() {
    let environment = TestEnvironment::new();
    environment.registry().change_quirks(|quirks| quirks.referrers = true);
    Layout::write(&environment, "layout");
    environment.ok(&["image", "push", "default", "app:v1", "layout"]);
    let image = environment.registry().manifest("app", "v1").unwrap();
    let artifact = json!({"schemaVersion": 2, "mediaType": MANIFEST, "subject": descriptor(&image),
        "artifactType": "a/\u{1b}[31mb\nc\u{9b}0m\u{7f}", "layers": []});
    environment.registry().put_manifest("app", None, MANIFEST, artifact.to_string());
    for format in ["bare", "wide"] {
        let table = environment.ok(&["image", "referrers", "default", "app:v1", "-o", format]);
        assert_eq!(table.lines().count(), 2, "{table:?}");
        assert!(table.contains(" a/\u{fffd}[31mb\u{fffd}c\u{fffd}0m\u{fffd} "), "{table:?}");
    }
    let data = |format| environment.ok(&["image", "referrers", "default", "app:v1", "-o", format]);
    let json: Value = serde_json::from_str(&data("json")).unwrap();
    assert_eq!(json[0]["artifactType"], artifact["artifactType"], "programs get it as it is");
    assert!(!data("json").contains('\u{1b}') && !data("yaml").contains('\u{1b}'), "{}", data("yaml"));
}

#[test]
fn an_image_that_is_not_there_has_no_referrers() {
    let environment = TestEnvironment::new();
    let output = environment.run(&["image", "referrers", "default", "app:v1"]);
    assert_eq!(output.code, 3, "{output}");
    assert!(fs::read_dir(environment.path(".")).unwrap().next().is_none());
}

#[test]
fn referrers_are_pulled_and_pushed_again() {
    for api in [true, false] {
        let environment = TestEnvironment::new();
        environment.registry().change_quirks(|quirks| quirks.referrers = api);
        let layout = Layout::write(&environment, "layout");
        environment.ok(&["image", "push", "default", "app:v1", "layout", "--referrers"]);
        environment.ok(&["image", "pull", "default", "app:v1", "alone.tar"]);
        environment.ok(&["image", "pull", "default", "app:v1", "all.tar", "--referrers"]);
        let again = TestEnvironment::new();
        again.registry().change_quirks(|quirks| quirks.referrers = !api);
        for (archive, expected) in
            [("alone.tar", vec![]), ("all.tar", vec![layout.sbom.clone(), layout.signature.clone()])]
        {
            again.write(archive, fs::read(environment.path(archive)).unwrap());
            let digest = again.ok(&["image", "push", "default", "app:v1", archive, "--referrers"]);
            assert_eq!(digest.trim_end(), layout.image);
            assert_eq!(listed(&again, &[]), expected);
        }
        let docker = member(&environment.path("all.tar"), "manifest.json");
        let docker: Value = serde_json::from_slice(&docker).unwrap();
        assert_eq!(docker.as_array().unwrap().len(), 1, "a signature is no image for docker");
    }
}

#[test]
fn referrers_come_from_another_registry() {
    for api in [true, false] {
        let other = TestEnvironment::new();
        other.registry().change_quirks(|quirks| quirks.referrers = api);
        let layout = Layout::write(&other, "layout");
        other.ok(&["image", "push", "default", "team/app:v1", "layout", "--referrers"]);
        let environment = TestEnvironment::new();
        let source = format!("registry:{}/team/app:v1", other.registry().host());
        environment.ok(&["image", "push", "default", "app:v1", &source]);
        assert!(listed(&environment, &[]).is_empty());
        environment.ok(&["image", "push", "default", "app:v1", &source, "--referrers"]);
        assert_eq!(listed(&environment, &[]), [layout.sbom.clone(), layout.signature.clone()]);
    }
}

#[test]
fn referrers_go_into_another_registry() {
    for api in [true, false] {
        let environment = TestEnvironment::new();
        let layout = Layout::write(&environment, "layout");
        environment.ok(&["image", "push", "default", "app:v1", "layout", "--referrers"]);
        let other = TestEnvironment::new();
        other.registry().change_quirks(|quirks| quirks.referrers = api);
        let target = format!("registry:{}/app:v1", other.registry().host());
        environment.ok(&["image", "pull", "default", "app:v1", &target]);
        assert!(listed(&other, &[]).is_empty());
        environment.ok(&["image", "pull", "default", "app:v1", &target, "--referrers"]);
        assert_eq!(listed(&other, &[]), [layout.sbom, layout.signature]);
    }
}

/// Reads a member of a tar.
fn member(archive: &std::path::Path, name: &str) -> Vec<u8> {
    let output = std::process::Command::new("tar").arg("-xOf").arg(archive).arg(name).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn what_holds_no_referrers_is_refused() {
    let environment = TestEnvironment::new();
    environment.write("file", "text");
    let sources = ["docker-daemon:app:v1", "podman:app:v1", "file:file"];
    for source in sources.into_iter().chain(["docker-archive:file", "file"]) {
        let output = environment.run(&["image", "push", "default", "app:v1", source, "--referrers"]);
        assert_eq!(output.code, 2, "{source}: {output}");
        assert!(
            output.stderr.contains("--referrers is for a registry, an OCI layout or"),
            "{source}: {output}"
        );
    }
    assert_eq!(environment.registry().manifest("app", "v1"), None);
}
