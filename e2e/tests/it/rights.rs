//! What the operator and the surrogate may do: what is named, and nothing else.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Result, ensure};
use reposure_e2e::Stage;

#[test]
fn the_operators_rights_are_named_and_the_surrogate_has_none() -> Result<()> {
    Stage::play("rights", |stage| {
        stage.kubectl(&["create", "serviceaccount", "fresh"]).ok()?;
        let fresh = rights(stage, "fresh")?;
        let operator = rights(stage, "reposure-operator")?;
        let added: Vec<&String> = operator.difference(&fresh).collect();
        ensure!(!added.is_empty(), "the operator has no rights at all");
        for right in &added {
            ensure!(!right.contains('*'), "a wildcard: {right}");
            for never in ["secrets", "pods/exec", "pods/proxy", "serviceaccounts/token", "roles"] {
                ensure!(!right.starts_with(never), "the operator holds {right}");
            }
        }
        for account in ["", "-pull", "-push", "-admin"] {
            let account = format!("reposure-surrogate-default{account}");
            ensure!(
                rights(stage, &account)? == fresh,
                "{account} has more rights than a fresh ServiceAccount"
            );
        }
        Ok(())
    })
}

fn rights(stage: &Stage, account: &str) -> Result<BTreeSet<String>> {
    let user = format!("--as=system:serviceaccount:{}:{account}", stage.namespace);
    let listed = stage.kubectl(&["auth", "can-i", "--list", "--no-headers", &user]).ok()?.text();
    Ok(listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
}

/// Whoever is an administrator of a namespace and of nothing else needs nothing else, where the kind is defined.
#[test]
fn an_administrator_of_one_namespace_can_do_it_all() -> Result<()> {
    Stage::play_bare("limited", |stage| {
        let limited = limited(stage, "admin")?;
        let reposure = |args: &[&str]| stage.reposure(args).env("KUBECONFIG", &limited);
        let image = stage.environment.image_args();
        let install = ["operator", "install", "--wait", "--timeout=2m"];
        reposure(&install).args(&image).ok()?;
        reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
        reposure(&["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"]).ok()?;
        fs::write(stage.path("file"), "content")?;
        reposure(&["image", "push", "default", "app", "file"]).ok()?;
        let pulled = reposure(&["image", "pull", "default", "app", "--unpack"]).ok()?;
        ensure!(pulled.text() == "content", "{pulled}");
        reposure(&["image", "delete", "default", "app"]).ok()?;
        // Who grants needs to have what he grants.
        reposure(&["registry", "grant", "default", "--admin", "--user=ann"]).ok()?;
        let access = reposure(&["registry", "access", "default"]).ok()?;
        ensure!(access.text().contains("ann"), "{access}");
        let refused = reposure(&["operator", "install", "--cluster"]).args(&image).output()?;
        ensure!(refused.code == Some(4), "a namespace's administrator installed for the cluster: {refused}");
        Ok(())
    })
}

/// Makes a kubeconfig of a ServiceAccount that holds a ClusterRole in the stage's namespace alone.
pub(crate) fn limited(stage: &Stage, role: &str) -> Result<PathBuf> {
    stage.kubectl(&["create", "serviceaccount", "limited"]).ok()?;
    let account = format!("--serviceaccount={}:limited", stage.namespace);
    stage.kubectl(&["create", "rolebinding", "limited", &format!("--clusterrole={role}"), &account]).ok()?;
    stage.kubeconfig_of("limited")
}
