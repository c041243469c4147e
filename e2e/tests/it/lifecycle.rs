//! Installing, keeping data, and removing.

use std::fs;

use anyhow::{Result, ensure};
use reposure_e2e::Stage;

#[test]
fn images_on_a_volume_outlive_the_registrys_pod() -> Result<()> {
    Stage::play_bare("volume", |stage| {
        stage.install_operator()?;
        stage.reposure(&["simple", "install", "--size=1Gi", "--wait", "--timeout=2m"]).ok()?;
        stage
            .reposure(&["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"])
            .ok()?;
        fs::write(stage.path("file"), "kept")?;
        stage.reposure(&["image", "push", "default", "app", "file"]).ok()?;
        stage.kubectl(&["delete", "pod", "-l", "app.kubernetes.io/name=reposure-simple"]).ok()?;
        stage.kubectl(&["rollout", "status", "deployment/reposure-simple", "--timeout=120s"]).ok()?;
        let pulled = stage.reposure(&["image", "pull", "default", "app", "--unpack"]).ok()?;
        ensure!(pulled.text() == "kept", "{pulled}");
        let seen = stage.reposure(&["doctor"]).ok()?.text();
        for line in [
            "ok       credentials             the kubeconfig's certificate is good until ",
            "ok       volume                  claim reposure-simple, 1Gi, Bound",
            "ok       storage                 takes blobs, tried in app",
        ] {
            ensure!(seen.contains(line), "{line:?} is not in {seen}");
        }
        stage.reposure(&["simple", "uninstall", "--wait"]).ok()?;
        let left = stage.kubectl(&["get", "pvc", "-o", "name"]).ok()?.text();
        ensure!(left == "persistentvolumeclaim/reposure-simple", "the volume did not stay: {left}");
        Ok(())
    })
}

#[test]
fn an_operator_is_not_removed_from_under_a_registry() -> Result<()> {
    Stage::play("uninstall", |stage| {
        let refused = stage.reposure(&["operator", "uninstall"]).output()?;
        ensure!(refused.code == Some(7) && refused.stderr.contains("default"), "{refused}");
        stage.kubectl(&["get", "deployment", "reposure-operator"]).ok()?;
        stage.reposure(&["registry", "delete", "default", "--wait"]).ok()?;
        stage.reposure(&["operator", "uninstall", "--wait"]).ok()?;
        let left = stage
            .kubectl(&["get", "deployments,roles,rolebindings,serviceaccounts", "-o", "name"])
            .ok()?
            .text();
        ensure!(!left.contains("reposure-operator"), "{left}");
        stage.kubectl(&["get", "crd", "registries.reposure.puccini.cloud"]).ok().map(drop)
    })
}

/// Distribution 2.8 deletes no tags, and its configuration is elsewhere.
#[test]
fn an_old_distribution_works_too() -> Result<()> {
    Stage::play_bare("old", |stage| {
        stage.install_operator()?;
        let image = "--image=docker.io/library/registry:2.8";
        stage.reposure(&["simple", "install", image, "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
        stage
            .reposure(&["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"])
            .ok()?;
        fs::write(stage.path("file"), "old")?;
        for name in ["app:v1", "app:v2", "app:v3"] {
            stage.reposure(&["image", "push", "default", name, "file"]).ok()?;
        }
        stage.reposure(&["image", "delete", "default", "app:v2"]).ok()?;
        let listed = stage.reposure(&["image", "list", "default"]).ok()?;
        ensure!(listed.text() == "app:v1\napp:v3", "{listed}");
        let pulled = stage.reposure(&["image", "pull", "default", "app:v1", "--unpack"]).ok()?;
        ensure!(pulled.text() == "old", "{pulled}");
        stage.reposure(&["image", "delete", "default", "--all"]).ok()?;
        ensure!(stage.reposure(&["image", "list", "default"]).ok()?.text().is_empty(), "something is left");
        Ok(())
    })
}
