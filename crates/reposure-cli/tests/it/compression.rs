//! How layers are compressed.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use reposure_testing::RandomImage;
use serde_json::Value;

use crate::TestEnvironment;

const DOCKER: [&str; 3] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];

/// The media types of the manifest, of its configuration and of its first layer.
fn media_types(environment: &TestEnvironment, name: &str) -> [String; 3] {
    let manifest = environment.registry().manifest(name, "latest").unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let types = [&manifest, &manifest["config"], &manifest["layers"][0]];
    types.map(|part| part["mediaType"].as_str().unwrap().to_owned())
}

fn with_docker_archive() -> TestEnvironment {
    let environment = TestEnvironment::new();
    let file = File::create(environment.path("docker.tar")).unwrap();
    RandomImage::new(1, 2, 300_000).unwrap().write_docker_archive("app:v1", file).unwrap();
    environment
}

#[test]
fn a_docker_archive_is_compressed_as_it_is_told() {
    let environment = with_docker_archive();
    let push = |name: &str, options: &[&str]| {
        let args = [&["image", "push", "default", name, "docker.tar"], options].concat();
        environment.ok(&args);
        media_types(&environment, name)
    };
    let oci = |layer: &str| {
        let layer = format!("application/vnd.oci.image.layer.v1.{layer}");
        let of = |kind: &str| format!("application/vnd.oci.image.{kind}.v1+json");
        [of("manifest"), of("config"), layer]
    };
    assert_eq!(push("plain", &[]), DOCKER);
    assert_eq!(push("gzip", &["--compression=gzip", "--compression-level=1"]), DOCKER);
    assert_eq!(push("single", &["--compression-single-member"]), DOCKER);
    assert_eq!(push("zstd", &["--compression", "zstd"]), oci("tar+zstd"));
    assert_eq!(push("most", &["--compression", "zstd", "--compression-level", "19"]), oci("tar+zstd"));
    assert_eq!(push("none", &["--compression", "none"]), oci("tar"));
    // What was pulled is the same image, whatever its layers are.
    for name in ["single", "zstd", "none"] {
        let digest = environment.ok(&["image", "push", "default", "again", &pulled(&environment, name)]);
        let manifest = environment.registry().manifest(name, "latest").unwrap();
        assert_eq!(digest.trim(), reposure_oci::Digest::sha256_of(manifest).to_string(), "{name}");
    }
}

fn pulled(environment: &TestEnvironment, name: &str) -> String {
    let target = format!("{name}.tar");
    environment.ok(&["image", "pull", "default", name, &target]);
    target
}

#[test]
fn a_file_comes_back_from_every_compression() {
    let environment = TestEnvironment::new();
    environment.write("hello.txt", "Hello!");
    for compression in ["gzip", "zstd", "none"] {
        environment.ok(&["image", "push", "default", compression, "hello.txt", "--compression", compression]);
        let unpacked = environment.ok(&["image", "pull", "default", compression, "--unpack"]);
        assert_eq!(unpacked, "Hello!", "{compression}");
    }
}

#[test]
fn levels_that_a_format_does_not_have_are_refused() {
    let environment = with_docker_archive();
    let push = |options: &[&str]| {
        environment.run(&[&["image", "push", "default", "app", "docker.tar"], options].concat())
    };
    insta::assert_snapshot!(push(&["--compression-level", "10"]), @r#"
    [2]
    error: --compression-level 10 is none of 1 to 9
    "#);
    insta::assert_snapshot!(push(&["--compression=zstd", "--compression-level=0"]), @r#"
    [2]
    error: --compression-level 0 is none of 1 to 19
    "#);
    insta::assert_snapshot!(push(&["--compression=none", "--compression-level=1"]), @r#"
    [2]
    error: --compression-level goes with --compression gzip or zstd
    "#);
    insta::assert_snapshot!(push(&["--compression=zstd", "--compression-single-member"]), @r#"
    [2]
    error: --compression-single-member goes with --compression gzip
    "#);
    assert_eq!(push(&["--compression=xz"]).code, 2);
    assert_eq!(environment.ok(&["image", "list", "default"]), "", "an image was pushed");
}

/// The file of what layers became.
fn cache(environment: &TestEnvironment) -> PathBuf {
    environment.path("../home/.cache/reposure/layers")
}

#[test]
fn what_layers_became_is_kept_in_the_users_cache() {
    let environment = with_docker_archive();
    let file = cache(&environment);
    environment.ok(&["image", "push", "default", "app", "docker.tar", "--no-cache"]);
    assert!(!file.exists());
    let digest = environment.ok(&["image", "push", "default", "app", "docker.tar"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap().matches("reposure-gzip/1").count(), 2);
    assert_eq!(environment.ok(&["image", "push", "default", "app", "docker.tar"]), digest);
    // What another form of the layers was is no answer.
    environment.ok(&["image", "push", "default", "zstd", "docker.tar", "--compression=zstd"]);
    assert_eq!(media_types(&environment, "zstd")[2], "application/vnd.oci.image.layer.v1.tar+zstd");
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    assert_eq!(environment.ok(&["image", "push", "default", "app", "docker.tar"]), digest);
}

fn start(environment: &TestEnvironment, name: &str) -> Child {
    let mut command = environment.reposure();
    command.args(["image", "push", "default", name, &format!("{name}.tar")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

#[test]
fn processes_share_the_cache() {
    let environment = TestEnvironment::new();
    for number in 0..6 {
        let file = File::create(environment.path(&format!("app{number}.tar"))).unwrap();
        RandomImage::new(number, 2, 300_000).unwrap().write_docker_archive("app:v1", file).unwrap();
    }
    let mut digests = Vec::new();
    for names in [["app0", "app1"], ["app2", "app3"], ["app4", "app5"]] {
        for child in names.map(|name| start(&environment, name)) {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            digests.push(String::from_utf8(output.stdout).unwrap());
        }
    }
    let file = cache(&environment);
    let kept = || std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept().matches("reposure-gzip/1").count(), 12, "both have kept all of theirs");
    assert_eq!(names(file.parent().unwrap()), ["layers"]);
    // What it says is right: without it the same comes out, and with it nothing is added.
    let before = kept();
    for (number, digest) in digests.iter().enumerate() {
        let (name, archive) = (format!("again{number}"), format!("app{number}.tar"));
        assert_eq!(environment.ok(&["image", "push", "default", &name, &archive]), *digest);
        assert_eq!(environment.ok(&["image", "push", "default", &name, &archive, "--no-cache"]), *digest);
    }
    assert_eq!(kept().matches("reposure-gzip/1").count(), before.matches("reposure-gzip/1").count());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_cache_may_be_deleted_while_it_is_used() {
    let environment = with_docker_archive();
    let file = cache(&environment);
    let folder = file.parent().unwrap();
    let expected = environment.ok(&["image", "push", "default", "app", "docker.tar", "--no-cache"]);
    let done = AtomicBool::new(false);
    let outputs = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = std::fs::remove_dir_all(folder);
            }
        });
        let outputs = [1; 5].map(|_| environment.run(&["image", "push", "default", "app", "docker.tar"]));
        done.store(true, Ordering::Relaxed);
        outputs
    });
    for output in outputs {
        assert_eq!((output.code, output.stderr.as_str(), output.text()), (0, "", expected.clone()));
    }
    assert_eq!(environment.ok(&["image", "push", "default", "app", "docker.tar"]), expected);
    assert_eq!(std::fs::read_to_string(&file).unwrap().matches("reposure-gzip/1").count(), 2);
}
