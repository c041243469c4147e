//! What is done with a registry and its surrogate, where no operator sees to it: rights by verb, shells, what refers to an image.

use std::fs;

use anyhow::{Result, ensure};
use reposure_e2e::{Forward, Run, Stage};
use serde_json::Value;

use crate::{
    grants::{User, roles},
    standalone::CREATE,
};

#[test]
fn rights_on_a_standalone_registry_are_given_seen_and_taken() -> Result<()> {
    Stage::play_bare("standalone-grants", |stage| {
        set_up(stage)?;
        stage.reposure(&["image", "push", "default", "app:v1", "file"]).ok()?;
        let user = User::create(stage, "tenant")?;
        user.is_denied(&["image", "pull", "default", "app:v1", "--unpack"])?;

        grant(stage, "--pull")?;
        user.may(&["image", "pull", "default", "app:v1", "--unpack"])?;
        ensure!(user.reposure(&["image", "list", "default"]).ok()?.text() == "app:v1", "another list");
        user.is_denied(&["image", "push", "default", "app:v2", "file"])?;
        grant(stage, "--push")?;
        user.may(&["image", "push", "default", "app:v2", "file"])?;
        user.is_denied(&["image", "delete", "default", "app:v2"])?;
        grant(stage, "--admin")?;
        user.may(&["image", "delete", "default", "app:v2"])?;
        is_seen(stage)?;

        stage.reposure(&["registry", "revoke", "default", "--push", "--serviceaccount=tenant"]).ok()?;
        stage.reposure(&["registry", "revoke", "default", "--admin", "--serviceaccount=tenant"]).ok()?;
        stage.until("the right to push is gone", || {
            Ok(user.reposure(&["image", "push", "default", "app:v2", "file"]).output()?.code == Some(4))
        })?;
        is_handed_over(stage, &user)?;
        stage.reposure(&["registry", "revoke", "default", "--serviceaccount=tenant"]).ok()?;
        stage.until("nothing is left of the rights", || Ok(roles(stage)?.is_empty()))
    })
}

#[test]
fn shells_and_referrers_work_with_a_standalone_registry() -> Result<()> {
    Stage::play_bare("standalone-shell", |stage| {
        set_up(stage)?;
        let alone = stage.reposure(&["registry", "shell", "default", "--", "echo", "alone"]).ok()?;
        ensure!(alone.text() == "alone", "{alone}");
        let script = "id -u; tr '\\0' ' ' </proc/1/cmdline; exit\n";
        let seen = stage.reposure(&["registry", "shell", "default"]).stdin(script).ok()?.text();
        ensure!(seen.starts_with("65532\n/reposure-surrogate serve"), "{seen}");

        stage.reposure(&["image", "push", "default", "app:v1", "file"]).ok()?;
        let forward = Forward::start(stage, "service/reposure-simple", 5000)?;
        fs::write(stage.path("sbom.json"), "{}")?;
        let subject = format!("{}/app:v1", forward.host());
        let attach = ["attach", "--plain-http", "--artifact-type", "example/sbom", &subject, "sbom.json"];
        Run::new(stage.environment.tool("oras")).folder(&stage.path("")).args(attach).ok()?;
        let before = referrers(stage, "app:v1")?;
        ensure!(before.len() == 1, "{before:?}");
        stage.reposure(&["image", "pull", "default", "app:v1", "oci:layout", "--referrers"]).ok()?;
        stage.reposure(&["image", "push", "default", "copy:v1", "oci:layout:v1", "--referrers"]).ok()?;
        ensure!(referrers(stage, "copy:v1")? == before, "the copy is referred to by others");
        // A registry goes with the rights on it.
        grant(stage, "--pull")?;
        ensure!(!roles(stage)?.is_empty(), "nothing was granted");
        stage.reposure(&["registry", "delete", "default", "--wait"]).ok()?;
        stage.until("the Role is gone with its registry", || Ok(roles(stage)?.is_empty()))
    })
}

fn set_up(stage: &Stage) -> Result<()> {
    stage.reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
    stage.reposure(&CREATE).args(stage.environment.image_args()).ok()?;
    fs::write(stage.path("file"), "content")?;
    Ok(())
}

fn grant(stage: &Stage, level: &str) -> Result<()> {
    stage.reposure(&["registry", "grant", "default", level, "--serviceaccount=tenant"]).ok().map(drop)
}

fn referrers(stage: &Stage, name: &str) -> Result<Vec<Value>> {
    let listed = stage.reposure(&["image", "referrers", "default", name, "-o", "json"]).ok()?;
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout)?;
    Ok(listed.into_iter().map(|mut one| one["digest"].take()).collect())
}

fn is_seen(stage: &Stage) -> Result<()> {
    let shown = stage.reposure(&["registry", "access", "default", "-o", "json"]).ok()?;
    let lines: Vec<Value> = serde_json::from_slice(&shown.stdout)?;
    let of_tenant = lines.iter().filter(|line| line["allowed"] == true && line["subject"] != "you");
    let levels: Vec<&Value> = of_tenant.map(|line| &line["level"]).collect();
    ensure!(levels == ["pull", "push", "admin"], "{shown}");
    let asked = ["registry", "access", "default", "--serviceaccount=tenant", "-o", "json"];
    let asked = stage.reposure(&asked).ok()?;
    let lines: Vec<Value> = serde_json::from_slice(&asked.stdout)?;
    ensure!(lines.len() == 1 && lines[0]["level"] == "admin", "{asked}");
    let described = stage.reposure(&["registry", "describe", "default"]).ok()?.text();
    ensure!(described.contains("rolebinding/reposure:default:push"), "{described}");
    Ok(())
}

/// The rights stay when an operator takes the registry.
fn is_handed_over(stage: &Stage, user: &User<'_>) -> Result<()> {
    stage.install_operator()?;
    stage.reposure(&["registry", "adopt", "default", "--timeout=2m"]).ok()?;
    stage.kubectl(&["wait", "--for=condition=Ready", "registry/default", "--timeout=120s"]).ok()?;
    user.may(&["image", "pull", "default", "app:v1", "--unpack"])?;
    user.is_denied(&["image", "push", "default", "app:v2", "file"])
}
