//! Images that go into another registry, and into podman.

use std::{
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use http::Method;
use reposure_oci::Digest;
use reposure_testing::{Fault, Injection, MemoryRegistry, Options, RandomImage, Users, registry::Auth};
use serde_json::Value;

use crate::{
    TestEnvironment,
    targets::{pull, put, put_index, tool},
};

fn assert_holds(registry: &MemoryRegistry, image: &RandomImage, repository: &str, reference: &str) {
    assert_eq!(registry.manifest(repository, reference).as_ref(), Some(image.manifest()));
    for blob in image.blobs() {
        assert_eq!(registry.blob(repository, &Digest::sha256_of(&blob).to_string()), Some(blob));
    }
}

#[test]
fn an_image_is_copied_to_another_registry() {
    let environment = TestEnvironment::new();
    let other = environment.other_registry(Options::default());
    let image = RandomImage::new(50, 2, 300_000).unwrap();
    put(&environment, "app", "v1", &image);
    pull(&environment, "app:v1", &format!("registry:{}/copies/app:v2", other.host()));
    assert_holds(&other, &image, "copies/app", "v2");
    other.clear_requests();
    pull(&environment, "app:v1", &format!("docker://{}/copies/app:v3", other.host()));
    assert_holds(&other, &image, "copies/app", "v3");
    assert_eq!(other.count(&Method::POST, "/blobs/uploads/"), 0, "what is there was sent again");
}

#[test]
fn another_registry_learns_no_name_of_the_cluster() {
    let environment = TestEnvironment::new();
    // Tokens are asked for by the names of repositories, too.
    let auth = Auth::bearer(Users::new("me", "secret"));
    let other = environment.other_registry(Options { auth, ..Options::default() });
    // `me:secret`
    let config = format!(r#"{{"auths": {{"{}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#, other.host());
    environment.write("../home/.docker/config.json", config);
    let image = RandomImage::new(55, 2, 1000).unwrap();
    put(&environment, "customer/merger", "v1", &image);
    pull(&environment, "customer/merger:v1", &format!("registry:{}/copy:v1", other.host()));
    assert_holds(&other, &image, "copy", "v1");
    let requests = other.requests();
    assert!(requests.len() > 3);
    for request in requests {
        assert!(!format!("{request:?}").contains("merger"), "{request:?}");
    }
}

#[test]
fn an_index_is_copied_whole() {
    let environment = TestEnvironment::new();
    let other = environment.other_registry(Options::default());
    let images = put_index(&environment);
    pull(&environment, "multi:v1", &format!("registry:{}/multi:v1", other.host()));
    assert_eq!(other.manifest("multi", "v1"), environment.registry().manifest("multi", "v1"));
    for image in &images {
        assert_holds(&other, image, "multi", &image.digest());
    }
}

#[test]
fn nothing_gets_a_tag_that_is_not_whole() {
    let environment = TestEnvironment::new();
    let other = environment.other_registry(Options::default());
    let image = RandomImage::new(51, 2, 10_000).unwrap();
    put(&environment, "app", "v1", &image);
    let target = format!("registry:{}/app:v1", other.host());
    let size = image.layers()[0].gzip.len();
    let digest = Digest::sha256_of(&image.layers()[0].gzip).to_string();
    let headers = vec![("content-range".into(), format!("bytes 0-{}/{size}", size - 1))];
    let forged = Fault::Answer { status: 206, headers, body: "0".repeat(size) };
    environment.registry().inject(Injection::next(Method::GET, &digest, forged));
    let failed = environment.run(&["image", "pull", "default", "app:v1", &target]);
    assert_eq!(failed.code, 6, "{failed}");
    assert!(failed.stderr.contains("holds other bytes"), "{failed}");
    assert_eq!((other.manifest("app", "v1"), other.blob("app", &digest)), (None, None));
    // One that is away for a moment is asked again, as a push says it.
    other.inject(Injection::next(Method::PUT, "/blobs/uploads/", Fault::status(503)));
    let copied = environment.run(&["image", "pull", "default", "app:v1", &target]);
    assert_eq!(copied.code, 0, "{copied}");
    assert!(copied.stderr.starts_with("trying again: cannot store blob "), "{copied}");
    assert_holds(&other, &image, "app", "v1");
}

#[test]
fn credentials_are_those_of_docker_login() {
    let environment = TestEnvironment::new();
    let auth = Auth::bearer(Users::new("me", "secret"));
    let other = environment.other_registry(Options { auth, ..Options::default() });
    let image = RandomImage::new(52, 1, 1000).unwrap();
    put(&environment, "app", "v1", &image);
    let target = format!("registry:{}/app:v1", other.host());
    let failed = environment.run(&["image", "pull", "default", "app:v1", &target]);
    assert_eq!(failed.code, 4, "{failed}");
    // `me:secret`
    let config = format!(r#"{{"auths": {{"{}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#, other.host());
    environment.write("../home/.docker/config.json", config);
    pull(&environment, "app:v1", &target);
    assert_holds(&other, &image, "app", "v1");
}

#[test]
fn a_registry_that_is_away_or_speaks_tls_is_told() {
    let environment = TestEnvironment::new();
    let other = environment.other_registry(Options { tls: true, ..Options::default() });
    let image = RandomImage::new(53, 1, 1000).unwrap();
    put(&environment, "app", "v1", &image);
    environment.write("ca.pem", other.authority().unwrap());
    let target = format!("registry:{}/app:v1", other.host());
    let untrusted = environment.run(&["image", "pull", "default", "app:v1", &target]);
    assert_eq!(untrusted.code, 5, "{untrusted}");
    assert!(untrusted.stderr.contains("try: --target-ca FILE with"), "{untrusted}");
    let plain = environment.other_registry(Options::default());
    let plain = format!("registry:{}/app:v1", plain.host());
    let spoken = ["image", "pull", "default", "app:v1", &plain, "--target-ca", "ca.pem"];
    let spoken = environment.run(&spoken);
    assert!(spoken.stderr.contains("try: --target-plain-http, if"), "{spoken}");
    assert_eq!(environment.ok(&["image", "pull", "default", "app:v1", &target, "--target-ca", "ca.pem"]), "");
    assert_holds(&other, &image, "app", "v1");
    drop(other);
    let failed = environment.run(&["image", "pull", "default", "app:v1", &target]);
    assert_eq!(failed.code, 5, "{failed}");
}

/// Podman's service, which ends with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn podman_loads_what_is_streamed_to_it() {
    let environment = TestEnvironment::new();
    let image = RandomImage::new(54, 2, 2_000_000).unwrap();
    put(&environment, "app", "v1", &image);
    let root = environment.path("podman").display().to_string();
    let store =
        ["--root", &root, "--runroot", &root, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"];
    let socket = environment.path("podman.sock");
    let address = format!("unix://{}", socket.display());
    let podman = TestEnvironment::on_path("podman").expect("podman is missing: make test installs it");
    let mut command = environment.command(podman);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(store).args(["system", "service", "--time", "120", &address]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _service = Service(child);
    let start = Instant::now();
    while !socket.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "podman makes no socket");
        thread::sleep(Duration::from_millis(20));
    }
    let pull = |image: &str, target: &str| {
        let mut command = environment.command(env!("CARGO_BIN_EXE_reposure"));
        command.env("CONTAINER_HOST", &address).args(["image", "pull", "default", image, target]);
        environment.finish(&mut command, b"")
    };
    let loaded = pull("app:v1", "podman:localhost/loaded:v2");
    assert_eq!((loaded.code, loaded.text().trim()), (0, "localhost/loaded:v2"), "{loaded}");
    let id = || {
        let args = [&store[..], &["images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"]];
        String::from_utf8(tool(&environment, "podman", &args.concat())).unwrap()
    };
    let config = Digest::sha256_of(image.config());
    assert_eq!(id().trim(), format!("{config} localhost/loaded:v2"));
    // What breaks off is not loaded.
    let layer: Value = serde_json::from_slice(image.manifest()).unwrap();
    let digest = layer["layers"][1]["digest"].as_str().unwrap();
    environment
        .registry()
        .inject(Injection { times: 9, ..Injection::next(Method::GET, digest, Fault::status(404)) });
    let failed = pull("app:v1", "podman:localhost/broken:v1");
    assert_eq!(failed.code, 3, "{failed}");
    assert!(!id().contains("broken"), "a part was loaded");
    assert_eq!(pull("app:v1", &format!("podman:{}", config.hex())).code, 2);
}
