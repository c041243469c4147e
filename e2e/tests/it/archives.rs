//! Archives of every tool arrive with the digests that they have, as other tools see them from inside the cluster.

use std::fs::File;

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Run, SourceImage, Stage};
use reposure_testing::random::RandomImage;
use serde_json::Value;

#[test]
fn oci_forms_keep_their_digests() -> Result<()> {
    Stage::play("oci-forms", |stage| {
        let image = RandomImage::new(1, 3, 3 << 20)?;
        let digest = image.digest();
        image.write_oci_archive("v1", File::create(stage.path("oci.tar"))?)?;
        image.write_oci_layout("v1", &stage.path("layout"))?;
        for (form, source) in [("archive", "oci.tar"), ("layout", "layout")] {
            let name = format!("random/{form}:v1");
            let pushed = stage.reposure(&["image", "push", "default", &name, source]).ok()?;
            ensure!(pushed.text() == digest, "{pushed}");
            let remote = format!("@{name}");
            ensure!(
                stage.beside("crane", &["digest", "--insecure", &remote])?.text() == digest,
                "crane sees another digest"
            );
            stage.beside("crane", &["validate", "--insecure", "--remote", &remote])?;
            let descriptor =
                stage.beside("oras", &["manifest", "fetch", "--plain-http", "--descriptor", &remote])?;
            ensure!(descriptor.text().contains(&digest), "oras sees {descriptor}");
            let remote = format!("docker://{remote}");
            let inspected = stage.beside("skopeo", &["inspect", "--raw", "--tls-verify=false", &remote])?;
            ensure!(inspected.stdout == *image.manifest(), "skopeo sees other bytes");
        }
        Ok(())
    })
}

#[test]
fn docker_archives_keep_their_image_ids() -> Result<()> {
    Stage::play("docker-forms", |stage| {
        let source = SourceImage::busybox(stage, &stage.namespace)?;
        let id = image_id(&source.archive.display().to_string(), "docker-archive")?;
        let by_skopeo = source.convert(stage, "docker-archive")?;
        for (number, archive) in [&source.archive, &by_skopeo].into_iter().enumerate() {
            arrives(stage, &format!("docker/form{number}:v1"), &archive.display().to_string(), &id)?;
        }
        let gzipped = stage.path("busybox.tar.gz");
        let script = format!("gzip -c {} > {}", source.archive.display(), gzipped.display());
        Run::new("sh").args(["-c", &script]).ok()?;
        arrives(stage, "docker/gzipped:v1", &gzipped.display().to_string(), &id)
    })
}

#[test]
fn archives_of_skopeo_buildah_crane_and_podman_arrive() -> Result<()> {
    Stage::play("tools", |stage| {
        let source = SourceImage::busybox(stage, &stage.namespace)?;
        let id = image_id(&source.archive.display().to_string(), "docker-archive")?;
        for form in ["oci", "oci-archive"] {
            let converted = source.convert(stage, form)?;
            arrives(stage, &format!("skopeo/{form}:v1"), &converted.display().to_string(), &id)?;
        }
        stage.reposure(&["image", "push", "default", "seed:v1", "busybox.tar"]).ok()?;
        for format in ["tarball", "legacy", "oci"] {
            let target = stage.path(&format!("by-crane-{format}"));
            let to = target.display().to_string();
            let args = ["pull", "--insecure", &format!("--format={format}"), "@seed:v1", &to];
            stage.beside("crane", &args)?;
            arrives(stage, &format!("crane/{format}:v1"), &to, &id)?;
        }
        podman(stage, &source, &id)?;
        buildah(stage, &source, &id)
    })
}

#[test]
fn what_is_pulled_is_read_by_other_tools() -> Result<()> {
    Stage::play("targets", |stage| {
        let images = [RandomImage::new(2, 2, 1 << 20)?, RandomImage::new(3, 1, 1000)?];
        for (image, tag) in images.iter().zip(["v1", "v2"]) {
            let (name, archive) = (format!("random/app:{tag}"), format!("{tag}.tar"));
            image.write_oci_archive(tag, File::create(stage.path(&archive))?)?;
            stage.reposure(&["image", "push", "default", &name, &archive]).ok()?;
            stage.reposure(&["image", "verify", "default", &name, "--diff-ids"]).ok()?;
            stage.reposure(&["image", "pull", "default", &name, "oci:layout"]).ok()?;
            stage
                .reposure(&["image", "pull", "default", &name, &format!("docker-archive:{tag}-docker.tar")])
                .ok()?;
        }
        let layout = stage.path("layout").display().to_string();
        for (image, tag) in images.iter().zip(["v1", "v2"]) {
            let tool = |name: &str, args: &[&str]| Run::new(stage.environment.tool(name)).args(args).ok();
            let by_oras = tool("oras", &["manifest", "fetch", "--oci-layout", &format!("{layout}:{tag}")])?;
            ensure!(by_oras.stdout == *image.manifest(), "oras reads {by_oras}");
            let name = format!("ocidir://{layout}:{tag}");
            let by_regctl = tool("regctl", &["manifest", "get", "--format", "raw-body", &name])?;
            ensure!(by_regctl.stdout == *image.manifest(), "regctl reads {by_regctl}");
            let archive = stage.path(&format!("{tag}-docker.tar")).display().to_string();
            // Reads every layer, and compares it with the configuration.
            tool("crane", &["validate", "--tarball", &archive])?;
        }
        Ok(())
    })
}

/// `podman save`, of one image and of several at once.
fn podman(stage: &Stage, source: &SourceImage, id: &str) -> Result<()> {
    let store = stage.path("podman").display().to_string();
    let podman = |args: &[&str]| {
        let root = [
            "--root",
            &store,
            "--runroot",
            &store,
            "--storage-driver",
            "vfs",
            "--cgroup-manager",
            "cgroupfs",
        ];
        Run::new("podman").args(root).args(args).ok()
    };
    podman(&["load", "--input", &source.archive.display().to_string()])?;
    podman(&["tag", "docker.io/library/e2e:v1", "docker.io/library/e2e:v2"])?;
    for form in ["docker-archive", "oci-archive"] {
        let file = stage.path(&format!("podman-{form}.tar")).display().to_string();
        podman(&["save", "--format", form, "--output", &file, "docker.io/library/e2e:v1"])?;
        arrives(stage, &format!("podman/{form}:v1"), &file, id)?;
    }
    let both = stage.path("podman-both.tar").display().to_string();
    podman(&["save", "-m", "--output", &both, "docker.io/library/e2e:v1", "docker.io/library/e2e:v2"])?;
    arrives(stage, "podman/both:v1", &both, id)
}

fn buildah(stage: &Stage, source: &SourceImage, id: &str) -> Result<()> {
    let store = stage.path("buildah").display().to_string();
    let archive = format!("docker-archive:{}", source.archive.display());
    let buildah = |args: &[&str]| {
        Run::new("buildah")
            .args(["--root", &store, "--runroot", &store, "--storage-driver", "vfs"])
            .args(args)
            .ok()
    };
    let image = buildah(&["pull", "--policy=always", &archive])?.text();
    for form in ["docker-archive", "oci-archive", "oci"] {
        let target = stage.path(&format!("buildah-{form}")).display().to_string();
        buildah(&["push", &image, &format!("{form}:{target}:e2e:v1")])?;
        arrives(stage, &format!("buildah/{form}:v1"), &target, id)?;
    }
    Ok(())
}

/// Pushes an archive and sees to it that the registry has its image ID, and that what is pulled has it again.
fn arrives(stage: &Stage, name: &str, source: &str, id: &str) -> Result<()> {
    let digest = stage.reposure(&["image", "push", "default", name, source]).ok()?.text();
    let remote = format!("@{name}");
    ensure!(
        stage.beside("crane", &["digest", "--insecure", &remote])?.text() == digest,
        "{name}: another manifest"
    );
    let manifest: Value =
        serde_json::from_slice(&stage.beside("crane", &["manifest", "--insecure", &remote])?.stdout)?;
    ensure!(manifest["config"]["digest"] == *id, "{name} of {source}: {manifest} has not the image ID {id}");
    // Validating reads every layer and compares its diff ID with the configuration.
    stage.beside("crane", &["validate", "--insecure", "--remote", &remote])?;
    let copy = stage.path("pulled.tar").display().to_string();
    stage.reposure(&["image", "pull", "default", name, &copy]).ok()?;
    for form in ["docker-archive", "oci-archive"] {
        ensure!(image_id(&copy, form)? == id, "{name}: what was pulled, read as {form}, is another image");
    }
    Ok(())
}

/// The digest of the configuration, which docker calls the image's ID, as skopeo reads it.
pub(crate) fn image_id(path: &str, form: &str) -> Result<String> {
    let config = Run::new("skopeo").args(["inspect", "--config", "--raw", &format!("{form}:{path}")]).ok()?;
    let sum = Run::new("sha256sum").stdin(config.stdout).ok()?.text();
    Ok(format!("sha256:{}", sum.split_whitespace().next().context("no digest")?))
}
