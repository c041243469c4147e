//! What the operator and the surrogate may do: what is named, and nothing else.

use std::collections::BTreeSet;

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
