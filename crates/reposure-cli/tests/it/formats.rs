//! Every command on images in every format.

use reposure_testing::RandomImage;

use crate::TestEnvironment;

fn with_images() -> TestEnvironment {
    let environment = TestEnvironment::new();
    environment.write_oci_archive("app.tar", &RandomImage::new(1, 2, 10_000).unwrap());
    for name in ["team/app:v1", "team/app:v2", "base"] {
        environment.ok(&["image", "push", "default", name, "app.tar"]);
    }
    environment
}

#[test]
fn push_prints_the_digest() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(1, 2, 10_000).unwrap();
    environment.write_oci_archive("app.tar", &image);
    for format in ["bare", "wide", "name"] {
        let printed = environment.ok(&["image", "push", "default", "app:v1", "app.tar", "-o", format]);
        assert_eq!(printed, format!("{}\n", image.digest()), "{format}");
    }
    assert_eq!(environment.registry().manifest("app", "v1").as_ref(), Some(image.manifest()));
    insta::assert_snapshot!(environment.run(&["image", "push", "default", "app:v1", "app.tar", "-o", "json"]), @r#"
    {
      "name": "app:v1",
      "digest": "sha256:…"
    }
    [0]
    "#);
    insta::assert_snapshot!(environment.run(&["image", "push", "default", "app:v1", "app.tar", "-o", "yaml"]), @r#"
    name: app:v1
    digest: sha256:…
    [0]
    "#);
}

#[test]
fn list_in_every_format() {
    let environment = with_images();
    insta::assert_snapshot!(environment.run(&["image", "list", "default"]), @r#"
    base:latest
    team/app:v1
    team/app:v2
    [0]
    "#);
    insta::assert_snapshot!(environment.run(&["image", "list", "default", "-o", "name"]), @r#"
    base:latest
    team/app:v1
    team/app:v2
    [0]
    "#);
    insta::assert_snapshot!(environment.run(&["image", "list", "default", "-o", "wide"]), @r#"
    REPOSITORY   TAG
    base         latest
    team/app     v1
    team/app     v2
    [0]
    "#);
    insta::assert_snapshot!(environment.run(&["image", "ls", "default", "-o", "json"]), @r#"
    [
      {
        "name": "base:latest",
        "repository": "base",
        "tag": "latest"
      },
      {
        "name": "team/app:v1",
        "repository": "team/app",
        "tag": "v1"
      },
      {
        "name": "team/app:v2",
        "repository": "team/app",
        "tag": "v2"
      }
    ]
    [0]
    "#);
    insta::assert_snapshot!(environment.run(&["images", "list", "default", "-o", "yaml"]), @r#"
    - name: base:latest
      repository: base
      tag: latest
    - name: team/app:v1
      repository: team/app
      tag: v1
    - name: team/app:v2
      repository: team/app
      tag: v2
    [0]
    "#);
}

#[test]
fn an_empty_list_is_empty() {
    let environment = TestEnvironment::new();
    insta::assert_snapshot!(environment.run(&["image", "list", "default"]), @r#"[0]"#);
    insta::assert_snapshot!(environment.run(&["image", "list", "default", "-o", "json"]), @r#"
    []
    [0]
    "#);
}

#[test]
fn delete_in_every_format() {
    let environment = with_images();
    insta::assert_snapshot!(environment.run(&["image", "delete", "default", "team/app:v2"]), @r#"
    team/app:v2
    [0]
    "#);
    assert_eq!(environment.ok(&["image", "list", "default"]), "base:latest\nteam/app:v1\n");
    insta::assert_snapshot!(environment.run(&["image", "delete", "default", "team/app:v1", "-o", "json"]), @r#"
    {
      "deleted": [
        "team/app:v1"
      ]
    }
    [0]
    "#);
    insta::assert_snapshot!(environment.run(&["image", "rm", "default", "--all", "-o", "yaml"]), @r#"
    deleted:
    - base:latest
    [0]
    "#);
    assert_eq!(environment.ok(&["image", "list", "default"]), "");
}

#[test]
fn version_in_every_format() {
    let environment = TestEnvironment::alone();
    assert_eq!(environment.ok(&["version"]), concat!(env!("CARGO_PKG_VERSION"), "\n"));
    let json: serde_json::Value = serde_json::from_str(&environment.ok(&["version", "-o", "json"])).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert!(json["apiVersion"].is_u64() && json["platform"].is_string());
    assert!(environment.ok(&["version", "-o", "yaml"]).starts_with("version: "));
}
