//! Where pulled images go, as other tools read it.

use std::{fs, os::unix::fs::symlink};

use bytes::Bytes;
use http::Method;
use reposure_testing::{Fault, Injection, RandomImage};
use serde_json::{Value, json};

use crate::TestEnvironment;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Puts an image into the registry, without a push.
pub(crate) fn put(
    environment: &TestEnvironment,
    name: &str,
    tag: impl Into<Option<&'static str>>,
    image: &RandomImage,
) {
    let registry = environment.registry();
    for blob in image.blobs() {
        registry.put_blob(name, blob);
    }
    registry.put_manifest(name, tag.into(), image.media_type(), image.manifest().clone());
}

pub(crate) fn pull(environment: &TestEnvironment, image: &str, target: &str) {
    assert_eq!(environment.ok(&["image", "pull", "default", image, target]), "");
}

/// Runs a tool of others, which must succeed, and returns what it says.
pub(crate) fn tool(environment: &TestEnvironment, name: &str, args: &[&str]) -> Vec<u8> {
    let path =
        TestEnvironment::on_path(name).unwrap_or_else(|| panic!("{name} is missing: make test installs it"));
    let mut command = environment.command(path);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = environment.finish(command.args(args), b"");
    assert_eq!(output.code, 0, "{name} {args:?}: {output}");
    output.stdout
}

/// Sees to it that skopeo finds every byte of the image at `source`.
fn copies(environment: &TestEnvironment, source: &str, image: &RandomImage) {
    let args = ["copy", "--insecure-policy", "--preserve-digests", source, "dir:by-skopeo"];
    tool(environment, "skopeo", &args);
    assert_eq!(fs::read(environment.path("by-skopeo/manifest.json")).unwrap(), *image.manifest());
    fs::remove_dir_all(environment.path("by-skopeo")).unwrap();
}

fn entries(environment: &TestEnvironment, layout: &str) -> Vec<(String, String)> {
    let index = fs::read(environment.path(&format!("{layout}/index.json"))).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entry = |entry: &Value| {
        (text(&entry["annotations"]["org.opencontainers.image.ref.name"]), text(&entry["digest"]))
    };
    index["manifests"].as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn a_layout_is_made_and_added_to() {
    let environment = TestEnvironment::new();
    let (one, two) = (RandomImage::new(20, 2, 300_000).unwrap(), RandomImage::new(21, 1, 1000).unwrap());
    put(&environment, "app", "v1", &one);
    put(&environment, "app", "v2", &two);
    pull(&environment, "app:v1", "oci:layout");
    pull(&environment, "app:v2", "oci:layout:two");
    let listed = [("v1".into(), one.digest()), ("two".into(), two.digest())];
    assert_eq!(entries(&environment, "layout"), listed);
    copies(&environment, "oci:layout:v1", &one);
    copies(&environment, "oci:layout:two", &two);
    // What skopeo has written can be added to.
    tool(&environment, "skopeo", &["copy", "--insecure-policy", "oci:layout:v1", "oci:other:v1"]);
    pull(&environment, "app:v2", "oci:other");
    assert_eq!(entries(&environment, "other").len(), 2);
    let digest = environment.ok(&["image", "push", "default", "back", "other", "--source-tag", "v2"]);
    assert_eq!(digest.trim(), two.digest());
}

#[test]
fn what_a_layout_has_is_not_fetched_again() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(22, 2, 100_000).unwrap();
    put(&environment, "app", "v1", &image);
    let blob = format!("/blobs/{}", reposure_oci::Digest::sha256_of(&image.layers()[1].gzip));
    environment.registry().inject(Injection::next(Method::GET, &blob, Fault::status(404)));
    let failed = environment.run(&["image", "pull", "default", "app:v1", "oci:layout", "--jobs", "1"]);
    assert_eq!(failed.code, 3, "{failed}");
    assert!(!environment.path("layout/index.json").exists());
    environment.registry().clear_requests();
    pull(&environment, "app:v1", "oci:layout");
    assert_eq!(environment.registry().count(&Method::GET, "/blobs/"), 1, "a whole blob was fetched again");
    copies(&environment, "oci:layout:v1", &image);
    environment.registry().clear_requests();
    pull(&environment, "app:v1", "oci:layout");
    assert_eq!(environment.registry().count(&Method::GET, "/blobs/"), 0);
}

#[test]
fn nothing_is_written_outside_of_a_layout() {
    let environment = TestEnvironment::new();
    put(&environment, "app", "v1", &RandomImage::new(23, 1, 1000).unwrap());
    environment.write("elsewhere/file", "x");
    environment.write("layout/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    symlink("../elsewhere", environment.path("layout/blobs")).unwrap();
    let pulled = environment.run(&["image", "pull", "default", "app:v1", "oci:layout"]);
    insta::assert_snapshot!(pulled, @r"
    [6]
    error: cannot pull app:v1 of registry default
      because: $FOLDER/team/layout/blobs leads out of the OCI layout: nothing is written there
    ");
    assert_eq!(fs::read_dir(environment.path("elsewhere")).unwrap().count(), 1);
    let pulled = environment.run(&["image", "pull", "default", "app:v1", "oci:elsewhere"]);
    insta::assert_snapshot!(pulled, @r"
    [7]
    error: cannot pull app:v1 of registry default
      because: elsewhere is there already, and is no OCI layout
    ");
}

#[test]
fn archives_of_one_form() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(24, 2, 100_000).unwrap();
    put(&environment, "app", "v1", &image);
    pull(&environment, "app:v1", "oci-archive:oci.tar:some/name:v3");
    copies(&environment, "oci-archive:oci.tar:some/name:v3", &image);
    pull(&environment, "app:v1", "docker-archive:docker.tar:app:v3");
    let config =
        tool(&environment, "skopeo", &["inspect", "--config", "--raw", "docker-archive:docker.tar:app:v3"]);
    assert_eq!(config, *image.config());
    pull(&environment, "app:v1", "docker-archive:plain.tar");
    let digest = environment.ok(&["image", "push", "default", "back", "plain.tar", "--source-tag", "app:v1"]);
    let back: Value =
        serde_json::from_slice(&environment.registry().manifest("back", "latest").unwrap()).unwrap();
    assert_eq!(
        back["config"]["digest"],
        reposure_oci::Digest::sha256_of(image.config()).to_string(),
        "{digest}"
    );
}

#[test]
fn podman_loads_every_form() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(25, 2, 50_000).unwrap();
    put(&environment, "app", "v1", &image);
    let id = reposure_oci::Digest::sha256_of(image.config()).hex().to_owned();
    for (form, path) in [("", "both.tar"), ("oci-archive:", "oci.tar"), ("docker-archive:", "docker.tar")] {
        pull(&environment, "app:v1", &format!("{form}{path}"));
        let root = environment.path("podman").display().to_string();
        let store =
            ["--root", &root, "--runroot", &root, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"];
        tool(&environment, "podman", &[&store[..], &["load", "--input", path]].concat());
        let listed =
            tool(&environment, "podman", &[&store[..], &["images", "--no-trunc", "--quiet"]].concat());
        assert_eq!(String::from_utf8(listed).unwrap().trim(), format!("sha256:{id}"), "{path}");
        tool(&environment, "podman", &[&store[..], &["rmi", "--all"]].concat());
    }
}

#[test]
fn targets_that_cannot_be_written_are_refused_before_anything_is_asked() {
    let environment = TestEnvironment::alone();
    fs::create_dir(environment.path("folder")).unwrap();
    let pull = |args: &[&str]| environment.run(&[&["image", "pull", "default", "app"], args].concat());
    insta::assert_snapshot!(pull(&["app.tar.gz"]), @r"
    [2]
    error: app.tar.gz would not be compressed: archives are written as they are
      try: a name that ends in .tar; the layers in it are compressed, so that there is little to gain
    ");
    insta::assert_snapshot!(pull(&["folder"]), @r"
    [2]
    error: folder is a folder, and not a file to write
      try: oci:folder for an OCI layout in it
    ");
    insta::assert_snapshot!(pull(&["absent/"]), @r"
    [2]
    error: absent/ is a folder, and not a file to write
      try: oci:absent/ for an OCI layout in it
    ");
    insta::assert_snapshot!(pull(&["docker-archive:folder"]), @r"
    [2]
    error: folder is a folder, and not a file to write
    ");
    insta::assert_snapshot!(pull(&["folder", "--unpack"]), @r"
    [2]
    error: folder is a folder, and not a file to write
    ");
    insta::assert_snapshot!(pull(&["oci:folder:@1"]), @r"
    [2]
    error: @1 chooses an image of a source: a target takes a name
    ");
    insta::assert_snapshot!(pull(&["docker-archive:a.tar:A"]), @r#"
    [2]
    error: "A" is no name for an image of docker's
      because: "A" is no image of a registry
      because: "library/A" is no repository name: lower-case letters and digits, separated by '.', '_', '__' or '-', in parts separated by '/', at most 255 characters
    "#);
    insta::assert_snapshot!(pull(&["oci:folder", "--unpack"]), @r"
    [2]
    error: --unpack gives a file, which oci:folder cannot hold
    ");
    insta::assert_snapshot!(pull(&["-", "--fsync"]), @r"
    [2]
    error: --fsync is for what is written to this machine's disk
    ");
    insta::assert_snapshot!(pull(&["app.tar", "--target-ca", "ca.pem"]), @r"
    [2]
    error: --target-ca is for a TARGET registry:HOST/NAME, and app.tar is none
      try: leave it out
    ");
    insta::assert_snapshot!(pull(&["-", "--target-plain-http"]), @r"
    [2]
    error: --target-plain-http is for a TARGET registry:HOST/NAME, and standard output is none
      try: leave it out
    ");
    insta::assert_snapshot!(pull(&["oci:"]), @r"
    [2]
    error: invalid value 'oci:' for '[TARGET]': a path is missing

    For more information, try '--help'.
    ");
}

#[test]
fn a_dash_is_standard_output() {
    let environment = TestEnvironment::new();
    put(&environment, "app", "v1", &RandomImage::new(26, 1, 10_000).unwrap());
    pull(&environment, "app:v1", "app.tar");
    let piped = environment.run(&["image", "pull", "default", "app:v1", "-"]);
    assert_eq!((piped.code, piped.stderr.as_str()), (0, ""));
    assert!(piped.stdout == fs::read(environment.path("app.tar")).unwrap());
    assert_eq!(environment.files(), ["app.tar"]);
}

/// Puts an index of two images, and returns them.
pub(crate) fn put_index(environment: &TestEnvironment) -> [RandomImage; 2] {
    let images = [RandomImage::new(27, 1, 1000).unwrap(), RandomImage::new(28, 1, 1000).unwrap()];
    let children = images.iter().zip(["amd64", "arm64"]).map(|(image, architecture)| {
        put(environment, "multi", None, image);
        json!({
            "mediaType": image.media_type(), "size": image.manifest().len(), "digest": image.digest(),
            "platform": {"os": "linux", "architecture": architecture},
        })
    });
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children.collect::<Vec<_>>()});
    environment.registry().put_manifest("multi", Some("v1"), INDEX, Bytes::from(index.to_string()));
    images
}

#[test]
fn an_index_goes_whole_where_it_can() {
    let environment = TestEnvironment::new();
    let images = put_index(&environment);
    pull(&environment, "multi:v1", "oci:layout");
    for (image, architecture) in images.iter().zip(["amd64", "arm64"]) {
        let args = ["--override-arch", architecture, "copy", "--insecure-policy", "oci:layout:v1", "dir:one"];
        tool(&environment, "skopeo", &args);
        assert_eq!(fs::read(environment.path("one/manifest.json")).unwrap(), *image.manifest());
    }
    let failed = environment.run(&["image", "pull", "default", "multi:v1", "docker-archive:multi.tar"]);
    insta::assert_snapshot!(failed, @r"
    [2]
    error: cannot pull multi:v1 of registry default
      because: sha256:… is an index of images, which a docker-archive cannot hold
      try: --platform OS/ARCHITECTURE for one of its images, such as linux/amd64
    ");
    let failed = environment.run(&["image", "pull", "default", "multi:v1", "file", "--unpack"]);
    insta::assert_snapshot!(failed, @r"
    [2]
    error: cannot pull multi:v1 of registry default
      because: it is an index of images, and a file is unpacked of one image
      try: --platform OS/ARCHITECTURE for one of its images, such as linux/amd64
    ");
    assert_eq!(environment.files(), ["layout", "one"]);
}

#[test]
fn one_image_of_an_index_is_chosen_by_its_platform() {
    let environment = TestEnvironment::new();
    let images = put_index(&environment);
    let pull_of = |platform: &str, target: &str| {
        environment.run(&["image", "pull", "default", "multi:v1", target, "--platform", platform])
    };
    for (image, platform) in images.iter().zip(["linux/amd64", "linux/arm64"]) {
        let target = format!("oci:{}", platform.replace('/', "-"));
        let pulled = pull_of(platform, &target);
        assert_eq!((pulled.code, pulled.stderr.as_str()), (0, ""), "{pulled}");
        copies(&environment, &format!("{target}:v1"), image);
    }
    assert_eq!(pull_of("linux/arm64", "docker-archive:arm64.tar").code, 0);
    let config = tool(&environment, "skopeo", &["inspect", "--config", "--raw", "docker-archive:arm64.tar"]);
    assert_eq!(config, *images[1].config());
    let failed = pull_of("linux/s390x", "none.tar");
    assert_eq!(failed.code, 3, "{failed}");
    assert!(failed.stderr.contains("linux/amd64, linux/arm64"), "{failed}");
    assert!(!environment.path("none.tar").exists());
    // An image that is no index is asked for its own.
    put(&environment, "app", "v1", &images[0]);
    let pull = |platform: &str| {
        environment.run(&["image", "pull", "default", "app:v1", "app.tar", "--platform", platform]).code
    };
    assert_eq!((pull("linux/amd64"), pull("linux/arm64")), (0, 3));
    let wrong = pull_of("linux", "none.tar");
    assert_eq!(wrong.code, 2, "{wrong}");
}
