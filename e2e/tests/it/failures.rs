//! Bad input and bad luck: a clear error, the documented exit code, and no new tag.

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
};

use anyhow::{Result, ensure};
use reposure_e2e::Stage;
use reposure_testing::random::RandomImage;
use serde_json::json;

use crate::middle::assert_pulled;

#[test]
fn a_bad_source_is_named_and_leaves_no_tag() -> Result<()> {
    Stage::play("bad-source", |stage| {
        let image = RandomImage::new(2, 2, 1 << 20)?;
        image.write_docker_archive("v1", File::create(stage.path("whole.tar"))?)?;
        image.write_oci_archive("v1", File::create(stage.path("oci.tar"))?)?;
        for archive in ["whole.tar", "oci.tar"] {
            fs::copy(stage.path(archive), stage.path("truncated.tar"))?;
            let size = fs::metadata(stage.path(archive))?.len();
            OpenOptions::new().write(true).open(stage.path("truncated.tar"))?.set_len(size / 2)?;
            fails(stage, "truncated.tar", 6, "truncated.tar")?;

            fs::copy(stage.path(archive), stage.path("flipped.tar"))?;
            let mut file = OpenOptions::new().write(true).open(stage.path("flipped.tar"))?;
            // In the middle of a layer.
            file.seek(SeekFrom::Start(size / 3))?;
            file.write_all(b"something else")?;
            fails(stage, "flipped.tar", 6, "sha256:")?;
        }
        fails(stage, "missing.tar", 3, "missing.tar")?;
        fs::create_dir(stage.path("empty"))?;
        fails(stage, "empty", 6, "empty")?;
        let refused = stage.reposure(&["image", "push", "default", "Bad_Name", "whole.tar"]).output()?;
        ensure!(refused.code == Some(2) && refused.stderr.contains("Bad_Name"), "{refused}");
        Ok(())
    })
}

fn fails(stage: &Stage, source: &str, code: i32, named: &str) -> Result<()> {
    let output = stage.reposure(&["image", "push", "default", "bad:v1", source]).output()?;
    ensure!(output.code == Some(code) && output.stderr.contains(named), "{output}");
    let listed = stage.reposure(&["image", "list", "default"]).ok()?;
    ensure!(listed.text().is_empty(), "{listed}");
    Ok(())
}

#[test]
fn a_registry_that_is_down_is_named() -> Result<()> {
    Stage::play("registry-down", |stage| {
        fs::write(stage.path("file"), "content")?;
        stage.kubectl(&["scale", "deployment/reposure-simple", "--replicas=0"]).ok()?;
        stage
            .kubectl(&[
                "wait",
                "--for=delete",
                "pod",
                "-l",
                "app.kubernetes.io/name=reposure-simple",
                "--timeout=60s",
            ])
            .ok()?;
        let output = stage.reposure(&["image", "push", "default", "app:v1", "file"]).output()?;
        ensure!(output.code == Some(5), "{output}");
        ensure!(output.stderr.contains("registry"), "the hop is not named: {output}");
        stage.until("the condition says that the registry is unreachable", || {
            let path = "jsonpath={.status.conditions[?(@.type==\"RegistryReachable\")].status}";
            Ok(stage.kubectl(&["get", "registry", "default", "-o", path]).ok()?.text() == "False")
        })?;
        stage.kubectl(&["scale", "deployment/reposure-simple", "--replicas=1"]).ok()?;
        stage.kubectl(&["wait", "--for=condition=Ready", "registry/default", "--timeout=120s"]).ok()?;
        stage.reposure(&["image", "push", "default", "app:v1", "file"]).ok()?;
        Ok(())
    })
}

#[test]
fn what_is_not_there_is_named() -> Result<()> {
    Stage::play("not-there", |stage| {
        fs::write(stage.path("file"), "content")?;
        let output = stage.reposure(&["image", "push", "nowhere", "app", "file"]).output()?;
        ensure!(output.code == Some(3) && output.stderr.contains("nowhere"), "{output}");
        let output = stage.reposure(&["image", "pull", "default", "no/such:image", "out.tar"]).output()?;
        ensure!(output.code == Some(3) && output.stderr.contains("no/such:image"), "{output}");
        ensure!(!stage.path("out.tar").exists(), "a file is left");
        let output = stage.reposure(&["image", "delete", "default", "no/such:image"]).output()?;
        ensure!(output.code == Some(3), "{output}");
        let output =
            stage.reposure(&["image", "list", "default"]).env("KUBECONFIG", "/nonexistent").output()?;
        ensure!(output.code != Some(0), "{output}");
        Ok(())
    })
}

/// What does not fit is said to be so, leaves no tag, and takes no room from what does.
#[test]
fn a_registry_whose_disk_is_full_is_named() -> Result<()> {
    /// What images have in the registry, in bytes.
    const DISK: usize = 16 << 20;
    Stage::play("full-disk", |stage| {
        let volumes = "jsonpath={.spec.template.spec.volumes[?(@.emptyDir)].name}";
        let names = stage.kubectl(&["get", "deployment/reposure-simple", "-o", volumes]).ok()?.text();
        let disk = json!({"medium": "Memory", "sizeLimit": DISK.to_string()});
        let volumes: Vec<_> =
            names.split_whitespace().map(|name| json!({"name": name, "emptyDir": disk})).collect();
        ensure!(!volumes.is_empty(), "the registry has no such volume");
        let patch = json!({"spec": {"template": {"spec": {"volumes": volumes}}}}).to_string();
        stage.kubectl(&["patch", "deployment/reposure-simple", "-p", &patch]).ok()?;
        stage.kubectl(&["rollout", "status", "deployment/reposure-simple", "--timeout=90s"]).ok()?;
        stage.kubectl(&["wait", "--for=condition=Ready", "registry/default", "--timeout=120s"]).ok()?;

        let large = RandomImage::new(64, 1, 2 * DISK)?;
        large.write_oci_archive("v1", File::create(stage.path("large.tar"))?)?;
        let refused = stage.reposure(&["image", "push", "default", "large:v1", "large.tar"]).output()?;
        ensure!(refused.code.is_some_and(|code| code != 0), "it fits: {refused}");
        ensure!(refused.stderr.contains("registry"), "the hop is not named: {refused}");
        let listed = stage.reposure(&["image", "list", "default"]).ok()?;
        ensure!(listed.text().is_empty(), "a tag is left: {listed}");

        let small = RandomImage::new(65, 1, DISK / 2)?;
        small.write_oci_archive("v1", File::create(stage.path("small.tar"))?)?;
        // Distribution forgets to close a file that it could not write to, which has its room until the runtime collects it.
        stage.until("there is room again", || {
            let pushed = stage.reposure(&["image", "push", "default", "small:v1", "small.tar"]).output()?;
            Ok(pushed.code == Some(0))
        })?;
        stage.reposure(&["image", "pull", "default", "small:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &small)
    })
}
