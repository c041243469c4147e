//! What others read of what is compressed here. `make packages` installs them.

use std::{
    fs::{self, File},
    process::Command,
};

use bytes::Bytes;
use reposure_testing::RandomImage;
use serde_json::Value;

use crate::TestEnvironment;

/// Where programs of the distribution are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const COMPRESSIONS: [(&str, &[&str]); 4] = [
    ("gzip", &["--compression=gzip"]),
    ("single", &["--compression-single-member"]),
    ("zstd", &["--compression=zstd"]),
    ("none", &["--compression=none"]),
];

/// Pushes an image with each compression; its layers are some members and frames long.
fn pushed() -> (TestEnvironment, RandomImage) {
    let environment = TestEnvironment::new();
    let image = RandomImage::of_sizes(1, &[9 << 20, 1000]).unwrap();
    image.write_docker_archive("app:v1", File::create(environment.path("docker.tar")).unwrap()).unwrap();
    for (name, options) in COMPRESSIONS {
        environment.ok(&[&["image", "push", "default", name, "docker.tar"], options].concat());
    }
    (environment, image)
}

/// The image's lowest layer as it is in the registry.
fn layer(environment: &TestEnvironment, name: &str) -> Bytes {
    let manifest = environment.registry().manifest(name, "latest").unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    environment.registry().blob(name, manifest["layers"][0]["digest"].as_str().unwrap()).unwrap()
}

fn tool(environment: &TestEnvironment, name: &str) -> Command {
    let path = TestEnvironment::on_path(name);
    let mut command =
        environment.command(path.unwrap_or_else(|| panic!("there is no {name}: make packages")));
    command.env("PATH", PATH);
    command
}

/// Runs a tool to its good end, and returns its standard output.
fn run(environment: &TestEnvironment, name: &str, args: &[&str]) -> Vec<u8> {
    let output = environment.finish(tool(environment, name).args(args), b"");
    assert_eq!(output.code, 0, "{name} {args:?}: {}", output.stderr);
    output.stdout
}

#[test]
fn decompressors_read_all_members_and_frames() {
    let (environment, image) = pushed();
    let plain = &image.layers()[0].tar;
    for name in ["gzip", "single"] {
        environment.write("layer.gz", layer(&environment, name));
        // igzip reads several members since 2.30.
        for (tool, args) in [("gzip", &["-dc"][..]), ("unpigz", &["-c"]), ("igzip", &["-d", "-c"])] {
            let read = run(&environment, tool, &[args, &["layer.gz"]].concat());
            assert!(read == *plain, "{tool} reads {} bytes of {name}, of {}", read.len(), plain.len());
        }
    }
    environment.write("layer.zst", layer(&environment, "zstd"));
    run(&environment, "zstd", &["-q", "-t", "layer.zst"]);
    assert!(run(&environment, "zstd", &["-q", "-dc", "layer.zst"]) == *plain);
    assert!(layer(&environment, "none") == *plain);
}

#[test]
fn damage_is_noticed_by_zstd() {
    let (environment, _) = pushed();
    let mut damaged = layer(&environment, "zstd").to_vec();
    damaged[5 << 20] ^= 1;
    environment.write("layer.zst", damaged);
    let output = environment.finish(tool(&environment, "zstd").args(["-q", "-t", "layer.zst"]), b"");
    assert_ne!(output.code, 0);
}

#[test]
fn skopeo_reads_every_compression() {
    let (environment, image) = pushed();
    for (name, _) in COMPRESSIONS {
        let from = format!("docker://{}/{name}:latest", environment.registry().host());
        let to = format!("dir:{name}");
        let args =
            ["copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--dest-decompress", &from, &to];
        run(&environment, "skopeo", &args);
        for layer in image.layers() {
            // Decompressed, a layer's digest is its diff ID.
            let file = environment.path(name).join(reposure_oci::Digest::sha256_of(&layer.tar).hex());
            assert!(fs::read(file).unwrap() == layer.tar, "{name}");
        }
    }
}

#[test]
fn podman_unpacks_every_compression() {
    let (environment, image) = pushed();
    let id = reposure_oci::Digest::sha256_of(image.config()).to_string();
    for (name, _) in COMPRESSIONS {
        // A store each, so that no layer is there already.
        let store = environment.path(&format!("store-{name}")).display().to_string();
        let root =
            ["--root", &store, "--runroot", &store, "--storage-driver=vfs", "--cgroup-manager=cgroupfs"];
        let from = format!("docker://{}/{name}:latest", environment.registry().host());
        // It compares the diff ID of each layer with the configuration.
        let pulled =
            run(&environment, "podman", &[&root[..], &["pull", "-q", "--tls-verify=false", &from]].concat());
        assert_eq!(format!("sha256:{}", String::from_utf8(pulled).unwrap().trim()), id, "{name}");
    }
}
