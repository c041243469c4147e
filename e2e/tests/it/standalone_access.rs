//! What is done with a registry and its surrogate, where no operator sees to it: rights by verb, shells, what refers to an image.

use std::fs;

use anyhow::{Result, ensure};
use reposure_e2e::Stage;
use serde_json::Value;

use crate::{
    grants::{User, roles},
    places::copy_with_referrers,
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
        copy_with_referrers(stage)?;
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
