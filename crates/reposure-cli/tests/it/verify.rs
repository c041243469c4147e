//! `image verify`: what is whole, and everything that is not.

use bytes::Bytes;
use http::Method;
use reposure_oci::{Digest, MediaType};
use reposure_testing::{Fault, Injection, RandomImage};
use serde_json::{Value, json};

use crate::{TestEnvironment, targets::put};

fn verify(environment: &TestEnvironment, args: &[&str]) -> (i32, Value, String) {
    let output = environment.run(&[&["image", "verify", "default", "-o", "json"], args].concat());
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.code, json, output.stderr)
}

/// Lists digests and kinds of the faults.
fn faults(report: &Value) -> Vec<(&str, &str)> {
    let faults = report["faults"].as_array().unwrap();
    faults.iter().map(|fault| (fault["digest"].as_str().unwrap(), fault["kind"].as_str().unwrap())).collect()
}

#[test]
fn a_whole_image_has_no_faults() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(40, 3, 200_000).unwrap();
    put(&environment, "app", "v1", &image);
    let printed = environment.ok(&["image", "verify", "default", "app:v1"]);
    assert_eq!(printed.trim(), image.digest());
    let (code, report, stderr) = verify(&environment, &["app:v1", "--diff-ids"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let bytes: usize = image.blobs().iter().map(Bytes::len).sum();
    let expected = json!({
        "name": "app:v1", "digest": image.digest(), "manifests": 1, "blobs": 4, "bytes": bytes, "diffIds": 3,
        "layers": 3, "faults": [],
    });
    assert_eq!(report, expected);
    let printed = environment.ok(&["image", "verify", "default", "app:v1", "--diff-ids"]);
    assert!(printed.ends_with("\n3 of 3 layers compared with their diff IDs\n"), "{printed}");
    assert_eq!(environment.files(), [""; 0]);
}

#[test]
fn every_fault_is_named() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(41, 3, 50_000).unwrap();
    let registry = environment.registry();
    let blobs = image.blobs();
    // The configuration and the second layer are there, the first is not.
    for blob in [&blobs[0], &blobs[2], &blobs[3]] {
        registry.put_blob("app", blob.clone());
    }
    let digests: Vec<String> = blobs.iter().map(|blob| Digest::sha256_of(blob).to_string()).collect();
    let mut manifest: Value = serde_json::from_slice(image.manifest()).unwrap();
    manifest["layers"][2]["size"] = json!(blobs[3].len() - 1);
    let root =
        registry.put_manifest("app", Some("v1"), image.media_type(), Bytes::from(manifest.to_string()));
    let size = blobs[2].len();
    let headers = vec![("content-range".into(), format!("bytes 0-{}/{size}", size - 1))];
    let forged = Fault::Answer { status: 206, headers, body: "0".repeat(size) };
    registry.inject(Injection::next(Method::GET, &digests[2], forged));
    let (code, report, stderr) = verify(&environment, &["app:v1"]);
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("3 of its parts"), "{stderr}");
    assert_eq!(report["digest"], root);
    assert_eq!(
        faults(&report),
        [(digests[1].as_str(), "missing"), (digests[2].as_str(), "digest"), (digests[3].as_str(), "size"),]
    );
    let printed = environment.run(&["image", "verify", "default", "app:v1"]);
    assert!(printed.text().contains(&format!("{}: it is missing\n", digests[1])), "{printed}");
}

#[test]
fn layers_are_compared_with_their_diff_ids() {
    let environment = TestEnvironment::new();
    let (image, other) = (RandomImage::new(42, 2, 10_000).unwrap(), RandomImage::new(43, 1, 10_000).unwrap());
    let registry = environment.registry();
    put(&environment, "app", "v1", &image);
    put(&environment, "app", "other", &other);
    let mut manifest: Value = serde_json::from_slice(image.manifest()).unwrap();
    let foreign: Value = serde_json::from_slice(other.manifest()).unwrap();
    manifest["layers"][1] = foreign["layers"][0].clone();
    registry.put_manifest("app", Some("v2"), image.media_type(), Bytes::from(manifest.to_string()));
    assert_eq!(verify(&environment, &["app:v2"]).0, 0, "its digests are right");
    let (code, report, _) = verify(&environment, &["app:v2", "--diff-ids"]);
    assert_eq!(
        (code, faults(&report)),
        (6, vec![(manifest["layers"][1]["digest"].as_str().unwrap(), "diff-id")])
    );
    manifest["layers"].as_array_mut().unwrap().pop();
    registry.put_manifest("app", Some("v3"), image.media_type(), Bytes::from(manifest.to_string()));
    let (code, report, _) = verify(&environment, &["app:v3", "--diff-ids"]);
    assert_eq!(
        (code, faults(&report)),
        (6, vec![(manifest["config"]["digest"].as_str().unwrap(), "config")])
    );
}

#[test]
fn a_configuration_is_read_up_to_a_limit() {
    let environment = TestEnvironment::new();
    for (tag, size, expected) in [("fits", 8 << 20, &[][..]), ("large", (8 << 20) + 1, &["config"])] {
        let mut config = json!({"rootfs": {"type": "layers", "diff_ids": []}}).to_string();
        config.push_str(&" ".repeat(size - config.len()));
        let digest = environment.registry().put_blob("app", config);
        let config = json!({"mediaType": MediaType::OCI_CONFIG, "digest": digest, "size": size});
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": []});
        let media_type = MediaType::OCI_MANIFEST;
        environment.registry().put_manifest("app", Some(tag), media_type.as_str(), manifest.to_string());
        let (_, report, stderr) = verify(&environment, &[&format!("app:{tag}"), "--diff-ids"]);
        let kinds: Vec<_> = faults(&report).into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, expected, "{tag}: {stderr}");
    }
}

#[test]
fn what_could_not_be_compared_is_said() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(46, 2, 10_000).unwrap();
    put(&environment, "app", "v1", &image);
    let mut manifest: Value = serde_json::from_slice(image.manifest()).unwrap();
    manifest["layers"][1]["digest"] = json!(Digest::sha256_of("away").to_string());
    let registry = environment.registry();
    registry.put_manifest("app", Some("v2"), image.media_type(), Bytes::from(manifest.to_string()));
    let (code, report, stderr) = verify(&environment, &["app:v2", "--diff-ids"]);
    assert_eq!((code, &report["diffIds"], &report["layers"]), (6, &json!(1), &json!(2)), "{stderr}");
    let mut artifact: Value = serde_json::from_slice(image.manifest()).unwrap();
    artifact["config"]["mediaType"] = json!("application/vnd.example+json");
    registry.put_manifest("app", Some("v3"), image.media_type(), Bytes::from(artifact.to_string()));
    let (code, report, stderr) = verify(&environment, &["app:v3", "--diff-ids"]);
    assert_eq!((code, &report["diffIds"]), (0, &json!(0)));
    assert!(stderr.contains("only 0 of 2 layers could be compared"), "{stderr}");
}

#[test]
fn all_of_an_index_is_read() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(44, 1, 1000).unwrap();
    put(&environment, "app", "v1", &image);
    let away = Digest::sha256_of("away").to_string();
    let child =
        |digest: &str, size: usize| json!({"mediaType": image.media_type(), "digest": digest, "size": size});
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        child(&away, 10), child(&image.digest(), image.manifest().len()), child(&image.digest(), 5),
    ]});
    let media_type = "application/vnd.oci.image.index.v1+json";
    environment.registry().put_manifest("app", Some("multi"), media_type, Bytes::from(index.to_string()));
    let (code, report, _) = verify(&environment, &["app:multi"]);
    let digest = image.digest();
    assert_eq!((code, faults(&report)), (6, vec![(away.as_str(), "missing"), (digest.as_str(), "size")]));
    assert_eq!((&report["manifests"], &report["blobs"]), (&json!(2), &json!(2)));
}

#[test]
fn what_cannot_be_read_for_now_is_no_fault() {
    let mut environment = TestEnvironment::new();
    put(&environment, "app", "v1", &RandomImage::new(45, 1, 1000).unwrap());
    assert_eq!(verify(&environment, &["app:v9"]).0, 3);
    environment.registry().inject(Injection::next(Method::HEAD, "/blobs/", Fault::status(403)));
    let (code, _, stderr) = verify(&environment, &["app:v1"]);
    assert_eq!(code, 4, "{stderr}");
    environment.stop_registry();
    assert_eq!(verify(&environment, &["app:v1"]).0, 5);
}
