//! Archives with several images, with less than they name, and such as are no archives.

use std::{collections::BTreeMap, fs::File};

use bytes::Bytes;
use reposure_testing::RandomImage;
use serde_json::{Value, json};

use crate::TestEnvironment;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Writes an OCI archive of blobs under an `index.json` with these descriptors.
fn write_archive(environment: &TestEnvironment, name: &str, blobs: &[Bytes], descriptors: &[Value]) {
    write_saved(environment, name, blobs, descriptors, None);
}

/// Writes an OCI archive, with docker's list of images if there is one.
fn write_saved(
    environment: &TestEnvironment,
    name: &str,
    blobs: &[Bytes],
    descriptors: &[Value],
    list: Option<&Value>,
) {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors});
    let mut files = BTreeMap::from([
        ("index.json".to_owned(), Bytes::from(index.to_string())),
        ("oci-layout".to_owned(), Bytes::from_static(br#"{"imageLayoutVersion":"1.0.0"}"#)),
    ]);
    if let Some(list) = list {
        files.insert("manifest.json".into(), list.to_string().into());
    }
    files.extend(blobs.iter().map(|blob| (path_of(blob), blob.clone())));
    let mut archive = tar::Builder::new(File::create(environment.path(name)).unwrap());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, &*bytes).unwrap();
    }
    archive.into_inner().unwrap();
}

fn path_of(blob: &Bytes) -> String {
    format!("blobs/sha256/{}", reposure_oci::Digest::sha256_of(blob).hex())
}

fn descriptor(image: &RandomImage) -> Value {
    json!({"mediaType": image.media_type(), "digest": image.digest(), "size": image.manifest().len()})
}

fn named(image: &RandomImage, name: &str) -> Value {
    let mut descriptor = descriptor(image);
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    descriptor
}

fn blobs(image: &RandomImage) -> Vec<Bytes> {
    let mut blobs = image.blobs();
    blobs.push(image.manifest().clone());
    blobs
}

#[test]
fn one_of_several_images_is_chosen_by_its_name_or_place() {
    let environment = TestEnvironment::new();
    let images = [RandomImage::new(1, 1, 1000).unwrap(), RandomImage::new(2, 1, 1000).unwrap()];
    let all: Vec<Bytes> = images.iter().flat_map(blobs).collect();
    write_archive(&environment, "two.tar", &all, &[named(&images[0], "one"), named(&images[1], "two")]);
    let push =
        |tag: &str| environment.run(&["image", "push", "default", "app", "two.tar", "--source-tag", tag]);
    assert_eq!(push("two").text().trim(), images[1].digest());
    assert_eq!(push("@0").text().trim(), images[0].digest());
    insta::assert_snapshot!(push("three"), @r#"
    [2]
    error: cannot choose an image of two.tar
      because: there is not exactly one image "three", name one of: one, two
      try: --source-tag NAME, or --source-tag @0 for the first
    "#);
    insta::assert_snapshot!(environment.run(&["image", "push", "default", "app", "two.tar"]), @r#"
    [2]
    error: cannot choose an image of two.tar
      because: there are 2 images, name one of them: one, two
      try: --source-tag NAME, or --source-tag @0 for the first
    "#);
}

#[test]
fn what_an_index_names_and_the_archive_lacks_is_said() {
    let environment = TestEnvironment::new();
    let (here, away) = (RandomImage::new(3, 1, 1000).unwrap(), RandomImage::new(4, 1, 1000).unwrap());
    let platform = |image: &RandomImage, architecture: &str| {
        let mut descriptor = descriptor(image);
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        descriptor
    };
    let index = json!({"schemaVersion": 2, "mediaType": INDEX,
        "manifests": [platform(&here, "amd64"), platform(&away, "arm64")]});
    let index = Bytes::from(index.to_string());
    let digest = reposure_oci::Digest::sha256_of(&index);
    let mut all = blobs(&here);
    all.push(index.clone());
    let root = json!({"mediaType": INDEX, "digest": digest, "size": index.len()});
    // Docker lists the one image that it has.
    let layers: Vec<String> = here.layers().iter().map(|layer| path_of(&layer.gzip)).collect();
    let list = json!([{"Config": path_of(here.config()), "RepoTags": ["app:v1"], "Layers": layers}]);
    write_saved(&environment, "part.tar", &all, &[root], Some(&list));
    let output = environment.run(&["image", "push", "default", "app", "part.tar"]);
    assert_eq!((output.code, output.text().trim()), (0, here.digest().as_str()));
    assert!(output.stderr.contains(&away.digest()), "{output}");
    insta::assert_snapshot!(output, @r#"
    sha256:…
    [0]
    warning: part.tar does not hold sha256:…, which its index names: it is left out
    "#);
}

#[test]
fn damaged_sources_are_refused() {
    let environment = TestEnvironment::new();
    environment.write_oci_archive("app.tar", &RandomImage::new(5, 2, 100_000).unwrap());
    let whole = std::fs::read(environment.path("app.tar")).unwrap();
    environment.write("noise.tar", "noise".repeat(1000));
    environment.write("cut.tar", &whole[..whole.len() / 2]);
    let mut flipped = whole.clone();
    flipped[150_000] ^= 1;
    environment.write("flipped.tar", flipped);
    environment.write("empty/file", "");
    let push = |source: &str| environment.run(&["image", "push", "default", "app", source]);
    insta::assert_snapshot!(push("noise.tar"), @r#"
    [6]
    error: noise.tar holds no images: it is neither a docker-archive nor an OCI layout
      try: to push a file as it is, as an image of one layer: file:noise.tar
    "#);
    insta::assert_snapshot!(push("cut.tar"), @r#"
    [6]
    error: cut.tar seems to be truncated: it ends at byte 109312 without an end mark
      because: index.json (from byte 1536) names sha256:…, which is not there
    "#);
    insta::assert_snapshot!(push("flipped.tar"), @r#"
    [6]
    error: cannot push flipped.tar to app:latest of registry default
      because: the source is corrupt: a blob that should be sha256:… is sha256:… (105568 bytes from byte 110080 of flipped.tar)
    "#);
    insta::assert_snapshot!(push("empty"), @r#"
    [6]
    error: empty holds no images: it is neither a docker-archive nor an OCI layout
      try: name a folder with an OCI layout in it, or a file
    "#);
    insta::assert_snapshot!(push("nothing.tar"), @r#"
    [3]
    error: cannot read nothing.tar
      because: No such file or directory (os error 2)
    "#);
    assert_eq!(environment.ok(&["image", "list", "default"]), "", "an image was pushed");
}

#[test]
fn a_layout_in_a_folder_is_pushed() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(6, 1, 1000).unwrap();
    environment.write_oci_archive("app.tar", &image);
    let archive = File::open(environment.path("app.tar")).unwrap();
    tar::Archive::new(archive).unpack(environment.path("layout")).unwrap();
    let digest = environment.ok(&["image", "push", "default", "app", "layout"]);
    assert_eq!(digest.trim(), image.digest());
}

#[test]
fn an_archive_may_come_by_standard_input() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(7, 2, 50_000).unwrap();
    environment.write_oci_archive("app.tar", &image);
    let archive = std::fs::read(environment.path("app.tar")).unwrap();
    let push = |input: &[u8]| environment.run_with(&["image", "push", "default", "app", "-"], input);
    let output = push(&archive);
    assert_eq!((output.code, output.text().trim()), (0, image.digest().as_str()), "{output}");
    insta::assert_snapshot!(push(b"text"), @r#"
    [6]
    error: standard input holds no images: it is neither a docker-archive nor an OCI layout
      try: a stream must be an archive of images; write anything else to a file, and push that
    "#);
    insta::assert_snapshot!(push(b""), @r#"
    [6]
    error: standard input is empty
    "#);
    let cut = push(&archive[..archive.len() / 2 + 100]);
    assert_eq!(cut.code, 6, "{cut}");
    assert!(cut.stderr.contains("error: standard input"), "{cut}");
}

#[test]
fn a_prefix_says_what_a_source_is() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(8, 1, 1000).unwrap();
    environment.write_oci_archive("app.tar", &image);
    environment.write_oci_archive("a:b.tar", &image);
    let push = |source: &str| environment.run(&["image", "push", "default", "app", source]);
    for source in ["oci-archive:app.tar", "oci-archive:app.tar:v1", "oci-archive:app.tar:@0", "./a:b.tar"] {
        let output = push(source);
        assert_eq!((output.code, output.text().trim()), (0, image.digest().as_str()), "{output}");
    }
    let file = push("file:app.tar");
    assert_eq!(file.code, 0, "{file}");
    assert_ne!(file.text().trim(), image.digest());
    let pulled = environment.run(&["image", "pull", "default", "app", "--unpack"]);
    assert!(pulled.stdout == std::fs::read(environment.path("app.tar")).unwrap());
    insta::assert_snapshot!(push("docker-archive:app.tar"), @r#"
    [6]
    error: app.tar is no docker-archive: it has no manifest.json
      try: without a prefix it is found out what it is: app.tar
    "#);
    insta::assert_snapshot!(push("oci-archive:app.tar:v2"), @r#"
    [2]
    error: cannot choose an image of oci-archive:app.tar:v2
      because: there is not exactly one image "v2", name one of: v1
      try: --source-tag NAME, or --source-tag @0 for the first
    "#);
    insta::assert_snapshot!(push("docker-deamon:app"), @r#"
    [3]
    error: there is no file docker-deamon:app
      try: SOURCE begins with docker-archive:, oci-archive:, oci:, file:, docker-daemon:, podman: or registry:, or is a path
    "#);
    insta::assert_snapshot!(push("oci:"), @r#"
    [2]
    error: invalid value 'oci:' for '<SOURCE>': a path is missing

    For more information, try '--help'.
    "#);
    let both =
        environment.run(&["image", "push", "default", "app", "oci-archive:app.tar:v1", "--source-tag", "v1"]);
    insta::assert_snapshot!(both, @r#"
    [2]
    error: oci-archive:app.tar:v1 names image v1, and --source-tag v1
      try: leave one of them out
    "#);
}

#[test]
fn all_images_are_pushed_under_their_own_names() {
    let environment = TestEnvironment::new();
    let images = [RandomImage::new(31, 1, 1000).unwrap(), RandomImage::new(32, 1, 1000).unwrap()];
    let all: Vec<Bytes> = images.iter().flat_map(blobs).collect();
    let names = [
        named(&images[0], "v1"),
        named(&images[0], "stable"),
        named(&images[1], "docker.io/library/other:v2"),
    ];
    write_archive(&environment, "two.tar", &all, &names);
    let push = |args: &[&str]| environment.run(&[&["image", "push", "default"], args, &["--all"]].concat());
    let output = push(&["team/app", "two.tar"]);
    let (first, second) = (images[0].digest(), images[1].digest());
    let lines: Vec<_> = output.stdout.split(|byte| *byte == b'\n').map(String::from_utf8_lossy).collect();
    // In the order of the names: team/app:stable, team/app:v1, team/app/other:v2.
    assert_eq!(lines, [first.as_str(), &first, &second, ""], "{output}");
    let listed = environment.ok(&["image", "list", "default"]);
    assert_eq!(listed, "team/app:stable\nteam/app:v1\nteam/app/other:v2\n");
    let data: Value = serde_json::from_slice(&push(&["team/app", "two.tar", "-o", "json"]).stdout).unwrap();
    assert_eq!(data[2], json!({"name": "team/app/other:v2", "digest": second}));
    insta::assert_snapshot!(push(&["team/app:v1", "two.tar"]), @r#"
    [2]
    error: with --all each image gets its own tag, and not that of team/app:v1
      try: leave the tag out: team/app
    "#);
    insta::assert_snapshot!(push(&["team/app", "oci-archive:two.tar:v1"]), @r#"
    [2]
    error: oci-archive:two.tar:v1 names one image, and --all means all of them
      try: leave one of them out
    "#);

    write_archive(&environment, "unnamed.tar", &all, &[named(&images[0], "v1"), descriptor(&images[1])]);
    insta::assert_snapshot!(push(&["other", "unnamed.tar"]), @r#"
    [2]
    error: image @1 of the source has no name
      try: push it by itself: --source-tag @1
    "#);
    write_archive(
        &environment,
        "same.tar",
        &all,
        &[named(&images[0], "a.io/x:1"), named(&images[1], "b.io/x:1")],
    );
    insta::assert_snapshot!(push(&["other", "same.tar"]), @r#"
    [2]
    error: two images of the source would become other/x:1
      try: push them one by one: --source-tag NAME
    "#);
    assert_eq!(
        environment.ok(&["image", "list", "default"]),
        listed,
        "something was pushed before it was refused"
    );
}
