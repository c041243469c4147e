//! A surrogate is replaced when it is lost or outdated, and pushes live through it.

use std::fs::File;

use anyhow::{Result, ensure};
use reposure_e2e::{Detour, Stage};
use reposure_testing::{RandomImage, relay::Link};

use crate::middle::{MEBIBYTE, stop_at};

#[test]
fn a_push_survives_the_loss_of_the_surrogate() -> Result<()> {
    Stage::play("lost-surrogate", |stage| {
        let image = RandomImage::new(3, 6, 40 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        let detour = Detour::start(stage, Link { bandwidth: Some(8 * MEBIBYTE), ..Link::default() })?;
        let mut push = detour.reposure(stage, &["image", "push", "default", "big:v1", "big.tar"]).start()?;
        stop_at(&detour, |counts| counts.up >= 60 * MEBIBYTE)?;
        stage.kubectl(&["delete", "pod", "reposure-surrogate-default-0", "--grace-period=1"]).ok()?;
        ensure!(push.is_running()?, "it ended before its surrogate was away");
        detour.relay.set(Link::default());
        let pushed = push.output()?;
        ensure!(pushed.code == Some(0) && pushed.text() == image.digest(), "{pushed}");
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
