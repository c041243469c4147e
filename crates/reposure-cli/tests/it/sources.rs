//! Images of other registries, and of one platform.

use std::{fs, os::unix::fs::PermissionsExt as _};

use bytes::Bytes;
use reposure_testing::{Auth, MemoryRegistry, Options, RandomImage, Users};
use serde_json::{Value, json};

use crate::{TestEnvironment, environment::Output};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn put(registry: &MemoryRegistry, image: &RandomImage, tag: Option<&str>) {
    for blob in image.blobs() {
        registry.put_blob("team/app", blob);
    }
    registry.put_manifest("team/app", tag, image.media_type(), image.manifest().clone());
}

fn child(image: &RandomImage, architecture: &str) -> Value {
    json!({"mediaType": image.media_type(), "digest": image.digest(), "size": image.manifest().len(),
        "platform": {"os": "linux", "architecture": architecture}})
}

/// Runs a push with variables beside those of the environment.
fn push(environment: &TestEnvironment, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = environment.command(env!("CARGO_BIN_EXE_reposure"));
    command.args(["image", "push", "default", "copy"]).args(args).envs(variables.iter().copied());
    environment.finish(&mut command, b"")
}

#[test]
fn an_image_of_another_registry_goes_through() {
    let environment = TestEnvironment::new();
    let other = environment.other_registry(Options::default());
    let image = RandomImage::new(21, 3, 300_000).unwrap();
    put(&other, &image, Some("v1"));
    let host = other.host();
    for source in [
        format!("registry:{host}/team/app:v1"),
        format!("docker://{host}/team/app:v1"),
        format!("registry:{host}/team/app@{}", image.digest()),
    ] {
        let output = push(&environment, &[&source], &[]);
        assert_eq!((output.code, output.text().trim()), (0, image.digest().as_str()), "{output}");
    }
    assert_eq!(environment.registry().manifest("copy", "latest"), Some(image.manifest().clone()));
    let output = push(&environment, &[&format!("registry:{host}/team/app:v2")], &[]);
    assert_eq!(output.code, 3, "{output}");
    drop(other);
    let output = push(&environment, &[&format!("registry:{host}/team/app:v1")], &[]);
    assert_eq!(output.code, 5, "{output}");
}

#[test]
fn credentials_are_those_of_docker_and_its_helpers() {
    let environment = TestEnvironment::new();
    let users = Users::new("ann", "hush");
    let other = environment.other_registry(Options { auth: Auth::bearer(users), ..Options::default() });
    let image = RandomImage::new(22, 1, 1000).unwrap();
    put(&other, &image, Some("v1"));
    let source = format!("registry:{}/team/app:v1", other.host());
    let source = [source.as_str()];

    let refused = push(&environment, &source, &[]);
    assert_eq!(refused.code, 4, "{refused}");
    assert!(refused.stderr.contains("docker login"), "{refused}");

    let good = |output: Output| assert_eq!(output.text().trim(), image.digest(), "{output}");
    let auths = json!({"auths": {other.host(): {"auth": "YW5uOmh1c2g="}}}).to_string();
    environment.write("docker/config.json", &auths);
    environment.write("auth.json", &auths);
    good(push(&environment, &source, &[("DOCKER_CONFIG", "docker")]));
    good(push(&environment, &source, &[("REGISTRY_AUTH_FILE", "auth.json")]));
    environment.write("../home/.docker/config.json", &auths);
    good(push(&environment, &source, &[]));
    environment.write("../home/.docker/config.json", "{}");
    environment.write("run/containers/auth.json", &auths);
    good(push(&environment, &source, &[("XDG_RUNTIME_DIR", "run")]));

    let helped = json!({"auths": {}, "credHelpers": {other.host(): "test"}}).to_string();
    environment.write("docker/config.json", helped);
    let script = |body: &str| {
        environment.write("bin/docker-credential-test", format!("#!/bin/sh\nread server\n{body}\n"));
        let path = environment.path("bin/docker-credential-test");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", environment.path("bin").display());
        push(&environment, &source, &[("DOCKER_CONFIG", "docker"), ("PATH", &path)])
    };
    good(script(
        r#"[ "$1" = get ] && echo "{\"ServerURL\": \"$server\", \"Username\": \"ann\", \"Secret\": \"hush\"}""#,
    ));
    let failed = script("echo the keyring is locked; exit 1");
    assert!(failed.stderr.contains("docker-credential-test fails for"), "{failed}");
    assert!(failed.stderr.contains("the keyring is locked"), "{failed}");
    let malformed = script("echo hush");
    assert!(malformed.stderr.contains("no JSON of Username and Secret"), "{malformed}");
    assert!(!malformed.stderr.contains("hush"), "{malformed}");
    assert_eq!(script("echo credentials not found in native keychain; exit 1").code, 4);
    environment
        .write("docker/config.json", json!({"credsStore": "../bin/docker-credential-test"}).to_string());
    let refused = push(&environment, &source, &[("DOCKER_CONFIG", "docker")]);
    assert!(refused.stderr.contains("is no name of a credential helper"), "{refused}");
}

#[test]
fn a_credential_helper_that_is_not_there_is_passed_over() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(27, 1, 1000).unwrap();
    environment.write("docker/config.json", json!({"credsStore": "of-nobody"}).to_string());
    let run = |other: &MemoryRegistry| {
        put(other, &image, Some("v1"));
        let source = format!("registry:{}/team/app:v1", other.host());
        let output = push(&environment, &[&source], &[("DOCKER_CONFIG", "docker")]);
        Output { stderr: output.stderr.replace(&other.host(), "$OTHER"), ..output }
    };
    let public = run(&environment.other_registry(Options::default()));
    assert_eq!((public.code, public.text().trim()), (0, image.digest().as_str()), "{public}");
    insta::assert_snapshot!(public.stderr, @r"
    warning: there is no docker-credential-of-nobody, which the docker configuration names: $OTHER is asked without its credentials
    ");
    let auth = Auth::bearer(Users::new("ann", "hush"));
    let private = run(&environment.other_registry(Options { auth, ..Options::default() }));
    assert_eq!(private.code, 4, "{private}");
    assert!(private.stderr.starts_with("warning: there is no docker-credential-of-nobody"), "{private}");
    assert_eq!(private.stderr.matches("warning").count(), 1, "{private}");
}

#[test]
fn tls_is_checked_against_the_authority_that_is_named() {
    let environment = TestEnvironment::new();
    let other = environment.other_registry(Options { tls: true, ..Options::default() });
    let image = RandomImage::new(23, 1, 1000).unwrap();
    put(&other, &image, Some("v1"));
    environment.write("ca.pem", other.authority().unwrap());
    let source = format!("registry:{}/team/app:v1", other.host());
    let output = push(&environment, &[&source, "--source-ca", "ca.pem"], &[]);
    assert_eq!(output.text().trim(), image.digest(), "{output}");
    let untrusted = push(&environment, &[&source], &[]);
    assert_eq!(untrusted.code, 5, "{untrusted}");
    assert!(untrusted.stderr.contains("--source-ca FILE"), "{untrusted}");
    let plain = push(&environment, &[&source, "--source-plain-http"], &[]);
    assert_ne!(plain.code, 0, "{plain}");
}

#[test]
fn options_about_a_registry_are_for_one() {
    let environment = TestEnvironment::alone();
    environment.write("data.bin", "data");
    insta::assert_snapshot!(push(&environment, &["data.bin", "--source-ca", "ca.pem"], &[]), @r"
    [2]
    error: --source-ca is for a SOURCE registry:HOST/NAME, and data.bin is none
      try: leave it out
    ");
    for source in ["data.bin", "-", "file:data.bin", "docker-daemon:app", "oci:layout"] {
        let output = push(&environment, &[source, "--source-plain-http"], &[]);
        assert_eq!(output.code, 2, "{source}: {output}");
        assert!(
            output.stderr.contains("--source-plain-http is for a SOURCE registry:"),
            "{source}: {output}"
        );
    }
}

#[test]
fn one_platform_of_an_index_is_pushed() {
    let environment = TestEnvironment::new();
    let other = environment.other_registry(Options::default());
    let (one, two) = (RandomImage::new(24, 1, 1000).unwrap(), RandomImage::new(25, 1, 1000).unwrap());
    put(&other, &one, None);
    put(&other, &two, None);
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child(&one, "amd64"), child(&two, "arm64")]});
    let index = Bytes::from(index.to_string());
    let digest = other.put_manifest("team/app", Some("v1"), INDEX, index);
    let source = format!("registry:{}/team/app:v1", other.host());
    assert_eq!(push(&environment, &[&source], &[]).text().trim(), digest);
    // From the archive that a pull writes, too.
    environment.ok(&["image", "pull", "default", "copy", "copy.tar"]);
    for source in [source.as_str(), "copy.tar"] {
        let output = push(&environment, &[source, "--platform", "linux/x86_64"], &[]);
        assert_eq!(output.text().trim(), one.digest(), "{output}");
        let output = push(&environment, &[source, "--platform", "linux/s390x"], &[]);
        assert_eq!(output.code, 3, "{output}");
        let said = "there is no image of linux/s390x, but of: linux/amd64, linux/arm64";
        assert!(output.stderr.contains(said), "{output}");
    }
    let wrong = push(&environment, &[&source, "--platform", "linux"], &[]);
    assert_eq!(wrong.code, 2, "{wrong}");
}

#[test]
fn an_image_that_is_no_index_must_be_of_the_platform() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(26, 1, 1000).unwrap();
    environment.write_oci_archive("app.tar", &image);
    environment.write("data.bin", "data");
    let output = push(&environment, &["app.tar", "--platform", "linux/amd64"], &[]);
    assert_eq!(output.text().trim(), image.digest(), "{output}");
    let output = push(&environment, &["app.tar", "--platform", "windows/amd64"], &[]);
    assert_eq!(output.code, 3, "{output}");
    assert!(output.stderr.contains("the image is of linux/amd64, and not of windows/amd64"), "{output}");
    // A file becomes an image of whatever platform is asked for.
    let output = push(&environment, &["data.bin", "--platform", "windows/amd64"], &[]);
    assert_eq!(output.code, 0, "{output}");
}
