//! A surrogate is replaced when it is lost or outdated, and pushes live through it.

use std::{fs::File, thread::sleep, time::Duration};

use anyhow::{Result, ensure};
use reposure_e2e::Stage;
use reposure_testing::random::RandomImage;

#[test]
fn a_push_survives_the_loss_of_the_surrogate() -> Result<()> {
    Stage::play("lost-surrogate", |stage| {
        let image = RandomImage::new(3, 6, 40 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        let push = stage.reposure(&["image", "push", "default", "big:v1", "big.tar"]).start()?;
        sleep(Duration::from_millis(700));
        stage.kubectl(&["delete", "pod", "reposure-surrogate-default-0", "--grace-period=1"]).ok()?;
        let output = push.output()?;
        if output.code == Some(0) {
            ensure!(output.text() == image.digest(), "{output}");
        } else {
            ensure!(output.code == Some(5) && !output.stderr.is_empty(), "no clear failure: {output}");
        }
        stage
            .kubectl(&["wait", "--for=condition=Ready", "pod/reposure-surrogate-default-0", "--timeout=60s"])
            .ok()?;
        let again = stage.reposure(&["image", "push", "default", "big:v1", "big.tar"]).ok()?;
        ensure!(again.text() == image.digest(), "{again}");
        stage.beside("crane", &["validate", "--insecure", "--remote", "@big:v1"]).map(drop)
    })
}

#[test]
fn a_changed_spec_replaces_the_surrogate() -> Result<()> {
    Stage::play("changed-spec", |stage| {
        let uid = |stage: &Stage| {
            let args = [
                "get",
                "pod",
                "reposure-surrogate-default-0",
                "-o",
                "jsonpath={.metadata.uid}",
                "--ignore-not-found",
            ];
            Ok::<_, anyhow::Error>(stage.kubectl(&args).ok()?.text())
        };
        let before = uid(stage)?;
        let host = stage.host()?;
        let patch = format!(r#"{{"spec":{{"indirect":null,"direct":{{"host":"{host}"}},"scheme":"http"}}}}"#);
        stage.kubectl(&["patch", "registry", "default", "--type=merge", "-p", &patch]).ok()?;
        stage.until("another pod", || {
            let now = uid(stage)?;
            Ok(!now.is_empty() && now != before)
        })?;
        stage.kubectl(&["wait", "--for=condition=Ready", "registry/default", "--timeout=120s"]).ok()?;
        std::fs::write(stage.path("file"), "x")?;
        stage.reposure(&["image", "push", "default", "app", "file"]).ok().map(drop)
    })
}

#[test]
fn what_a_registry_needed_goes_with_it() -> Result<()> {
    Stage::play("deleted-registry", |stage| {
        stage.reposure(&["registry", "delete", "default", "--wait"]).ok()?;
        stage.until("nothing of the surrogate is left", || {
            let kinds = "statefulsets,pods,configmaps,serviceaccounts";
            let left = stage.kubectl(&["get", kinds, "-o", "name"]).ok()?.text();
            Ok(!left.lines().any(|line| line.contains("reposure-surrogate")))
        })
    })
}
