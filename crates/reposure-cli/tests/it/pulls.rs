//! What comes out of the registry again: archives and files, to a file or a pipe.

use std::{io::Read as _, process::Stdio};

use http::Method;
use reposure_testing::{Fault, Injection, RandomImage};

use crate::TestEnvironment;

#[test]
fn an_image_comes_back_as_it_went() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(2, 3, 50_000).unwrap();
    environment.write_oci_archive("app.tar", &image);
    environment.ok(&["image", "push", "default", "app:v1", "app.tar"]);
    assert_eq!(environment.ok(&["image", "pull", "default", "app:v1", "copy.tar"]), "");
    let digest = environment.ok(&["image", "push", "default", "copy:v1", "copy.tar"]);
    assert_eq!(digest, format!("{}\n", image.digest()));
    let by_digest = format!("app@{}", image.digest());
    environment.ok(&["image", "pull", "default", &by_digest, "again.tar"]);
    assert_eq!(environment.files(), ["again.tar", "app.tar", "copy.tar"]);
}

#[test]
fn standard_output_holds_the_same_archive() {
    let environment = TestEnvironment::new();
    environment.write_oci_archive("app.tar", &RandomImage::new(3, 2, 50_000).unwrap());
    environment.ok(&["image", "push", "default", "app:v1", "app.tar"]);
    environment.ok(&["image", "pull", "default", "app:v1", "file.tar"]);
    let piped = environment.run(&["image", "pull", "default", "app:v1"]);
    assert_eq!((piped.code, piped.stderr.as_str()), (0, ""));
    assert!(piped.stdout == std::fs::read(environment.path("file.tar")).unwrap());
    environment.ok(&["image", "pull", "default", "app:v1", "synced.tar", "--fsync"]);
    assert!(piped.stdout == std::fs::read(environment.path("synced.tar")).unwrap());
}

#[test]
fn a_file_comes_back_by_unpack() {
    let environment = TestEnvironment::new();
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    environment.write("data.bin", &bytes);
    environment.ok(&["image", "push", "default", "data", "data.bin"]);
    assert!(environment.run(&["image", "pull", "default", "data", "--unpack"]).stdout == bytes);
    environment.ok(&["image", "pull", "default", "data", "-u", "back.bin"]);
    assert!(std::fs::read(environment.path("back.bin")).unwrap() == bytes);
}

#[test]
fn a_docker_archive_comes_back_under_its_name() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(4, 2, 20_000).unwrap();
    let file = std::fs::File::create(environment.path("docker.tar")).unwrap();
    image.write_docker_archive("docker.io/library/app:v1", file).unwrap();
    let digest = environment.ok(&["image", "push", "default", "app:v1", "docker.tar"]);
    environment.ok(&["image", "pull", "default", "app:v1", "copy.tar"]);
    assert_eq!(
        environment.ok(&["image", "push", "default", "copy", "copy.tar", "--source-tag", "app:v1"]),
        digest
    );
}

#[test]
fn nothing_is_left_of_a_pull_that_failed() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(5, 2, 10_000).unwrap();
    environment.write_oci_archive("app.tar", &image);
    environment.ok(&["image", "push", "default", "app:v1", "app.tar"]);
    forge(&environment, &image);
    environment.write("old.tar", "old");
    insta::assert_snapshot!(environment.run(&["image", "pull", "default", "app:v1", "new.tar"]), @r#"
    [6]
    error: cannot pull app:v1 of registry default
      because: the registry gave other bytes than it should (GET /v2/app/blobs/sha256:…)
      because: blob sha256:… holds other bytes, of digest sha256:…
    "#);
    assert_eq!(environment.run(&["image", "pull", "default", "app:v1", "old.tar"]).code, 6);
    let unpacked = environment.run(&["image", "pull", "default", "app:v1", "-u"]);
    assert_eq!((unpacked.code, unpacked.stdout.len()), (6, 0));
    assert_eq!(environment.files(), ["app.tar", "old.tar"]);
    assert_eq!(std::fs::read(environment.path("old.tar")).unwrap(), b"old");
}

/// Makes the registry give other bytes for the first layer.
fn forge(environment: &TestEnvironment, image: &RandomImage) {
    let manifest: serde_json::Value = serde_json::from_slice(image.manifest()).unwrap();
    let size = image.layers()[0].gzip.len();
    let headers = vec![("content-range".into(), format!("bytes 0-{}/{size}", size - 1))];
    let fault = Fault::Answer { status: 206, headers, body: "0".repeat(size) };
    let path = manifest["layers"][0]["digest"].as_str().unwrap();
    environment.registry().inject(Injection { times: 3, ..Injection::next(Method::GET, path, fault) });
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let environment = TestEnvironment::new();
    environment.write_oci_archive("app.tar", &RandomImage::new(6, 1, 2_000_000).unwrap());
    environment.ok(&["image", "push", "default", "app", "app.tar"]);
    for args in [&["image", "pull", "default", "app"][..], &["completion", "bash"]] {
        let mut command = environment.command(env!("CARGO_BIN_EXE_reposure"));
        let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        // The pipe is closed by now.
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}
