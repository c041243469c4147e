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
    Stage::play_bare("uninstall", |stage| {
        with_volume(stage)?;
        let refused = stage.reposure(&["operator", "uninstall"]).output()?;
        ensure!(refused.code == Some(7) && refused.stderr.contains("default"), "{refused}");
        stage.kubectl(&["get", "deployment", "reposure-operator"]).ok()?;
        pull(stage)?;
        stage.reposure(&["registry", "delete", "default", "--wait"]).ok()?;
        let removed = stage.reposure(&["operator", "uninstall", "--wait"]).ok()?;
        ensure!(
            removed
                .stderr
                .contains(&format!("what stays: the definition of Registry with its roles, {STAYS}")),
            "{removed}"
        );
        nothing_is_left(stage)?;
        stage.kubectl(&["get", "crd", "registries.reposure.puccini.cloud"]).ok()?;
        what_stays_is_there(stage)
    })
}

/// What `operator uninstall` says it does not take, in any case.
pub(crate) const STAYS: &str = "registries' servers and their images, and Secrets";

/// Installs everything, with a volume, a password and an image.
pub(crate) fn with_volume(stage: &Stage) -> Result<()> {
    stage.install_operator()?;
    let install = ["simple", "install", "--size=64Mi", "--authorization", "--wait", "--timeout=2m"];
    stage.reposure(&install).args(stage.environment.gate_args()).ok()?;
    create(stage)?;
    fs::write(stage.path("file"), "kept")?;
    stage.reposure(&["image", "push", "default", "app", "file"]).ok().map(drop)
}

fn create(stage: &Stage) -> Result<()> {
    let create = ["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"];
    stage.reposure(&create).ok().map(drop)
}

fn pull(stage: &Stage) -> Result<()> {
    let pulled = stage.reposure(&["image", "pull", "default", "app", "--unpack"]).ok()?;
    ensure!(pulled.text() == "kept", "{pulled}");
    Ok(())
}

/// Looks whether anything of the operator or a surrogate is left.
pub(crate) fn nothing_is_left(stage: &Stage) -> Result<()> {
    let kinds = "deployments,statefulsets,configmaps,roles,rolebindings,serviceaccounts,leases,pods";
    stage.until("nothing is left", || {
        let left = stage.kubectl(&["get", kinds, "-o", "name"]).ok()?.text();
        Ok(!left.contains("reposure-operator") && !left.contains("reposure-surrogate"))
    })
}

/// Looks whether the registry's server, its volume and its Secrets are there, and the images in it, for a new operator.
pub(crate) fn what_stays_is_there(stage: &Stage) -> Result<()> {
    let kept = stage.kubectl(&["get", "deployments,services,pvc,secrets", "-o", "name"]).ok()?.text();
    for name in [
        "deployment.apps/reposure-simple",
        "service/reposure-simple",
        "persistentvolumeclaim/reposure-simple",
        "secret/reposure-simple-htpasswd",
        "secret/reposure-simple-authorization",
    ] {
        ensure!(kept.lines().any(|line| line == name), "{name} did not stay: {kept}");
    }
    stage.install_operator()?;
    create(stage)?;
    pull(stage)
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
