//! Operators: several of them, for several namespaces, where a pod is refused, and what they say of themselves.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::Stage;
use serde_json::Value;

const HOLDER: [&str; 5] = ["get", "lease", "reposure-operator", "-o", "jsonpath={.spec.holderIdentity}"];
/// A name of as many characters as the API takes for one.
const LONG: &str = "a23456789-b23456789-c23456789-d23456789-e23456789-f23456789-xyz";

/// Installs an operator with more arguments than usual.
fn install(stage: &Stage, args: &[&str]) -> Result<()> {
    let run = stage.reposure(&["operator", "install", "--wait", "--timeout=2m"]);
    run.args(args).args(stage.environment.image_args()).ok().map(drop)
}

fn simple(stage: &Stage) -> Result<()> {
    stage.reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok().map(drop)
}

fn create(stage: &Stage, name: &str, args: &[&str]) -> Result<()> {
    stage.reposure(&["registry", "create", name, "--provider=simple"]).args(args).ok().map(drop)
}

/// Waits until the condition of this type of the registry `default` has this reason.
fn until_reason(stage: &Stage, condition: &str, reason: &str) -> Result<()> {
    let path = format!("jsonpath={{.status.conditions[?(@.type==\"{condition}\")].reason}}");
    stage.until(&format!("{condition} is {reason}"), || {
        Ok(stage.kubectl(&["get", "registry", "default", "-o", &path]).ok()?.text() == reason)
    })
}

#[test]
fn another_operator_takes_over() -> Result<()> {
    Stage::play_bare("operators", |stage| {
        install(stage, &["--replicas=2"])?;
        simple(stage)?;
        create(stage, "default", &["--wait", "--timeout=2m"])?;
        for grace in ["--grace-period=20", "--grace-period=0"] {
            let before = stage.kubectl(&HOLDER).ok()?.text();
            ensure!(before.starts_with("reposure-operator-"), "nobody leads: {before:?}");
            let forced = if grace.ends_with("=0") { "--force" } else { "--wait" };
            stage.kubectl(&["delete", "pod", &before, grace, forced]).ok()?;
            stage.until("another one leads", || {
                let now = stage.kubectl(&HOLDER).ok()?.text();
                Ok(!now.is_empty() && now != before)
            })?;
            // What was lost meanwhile comes back by the one who leads now.
            stage.kubectl(&["delete", "configmap", "reposure-surrogate-default"]).ok()?;
            stage.until("the ConfigMap is back", || {
                let args =
                    ["get", "configmap", "reposure-surrogate-default", "-o", "name", "--ignore-not-found"];
                Ok(!stage.kubectl(&args).ok()?.text().is_empty())
            })?;
            stage.kubectl(&["rollout", "status", "deployment/reposure-operator", "--timeout=60s"]).ok()?;
        }
        let leader = stage.kubectl(&HOLDER).ok()?.text();
        let metrics = stage.curl(&leader, 8080, &["--silent", "--fail", "http://@/metrics"])?.text();
        for line in ["reposure_operator_leader 1", "reposure_operator_registries{ready=\"true\"} 1"] {
            ensure!(metrics.contains(line), "{line} is not in {metrics}");
        }
        Ok(())
    })
}

#[test]
fn one_operator_sees_to_several_namespaces() -> Result<()> {
    Stage::play_bare("several", |stage| {
        let other = Stage::new("several-other")?;
        install(stage, &["--watch", &format!("{},{}", stage.namespace, other.namespace)])?;
        simple(&other)?;
        create(&other, "default", &["--wait", "--timeout=2m"])?;
        fs::write(other.path("file"), "there")?;
        other.reposure(&["image", "push", "default", "app", "file"]).ok()?;
        let refused = stage.reposure(&["operator", "uninstall"]).output()?;
        ensure!(refused.code == Some(7) && refused.stderr.contains(&other.namespace), "{refused}");
        other.reposure(&["registry", "delete", "default", "--wait"]).ok()?;
        let removed = stage.reposure(&["operator", "uninstall", "--wait"]).ok()?;
        ensure!(removed.stderr.contains("what stays: the definition of Registry"), "{removed}");
        let left = other.kubectl(&["get", "roles,rolebindings", "-o", "name"]).ok()?.text();
        ensure!(!left.contains("reposure-operator"), "{left}");
        Ok(())
    })
}

/// Returns the roles and bindings in a namespace that were made for an operator, but for its election.
fn rights(stage: &Stage) -> Result<Vec<String>> {
    let all = stage.kubectl(&["get", "roles,rolebindings", "-o", "name"]).ok()?.text();
    let all = all.lines().filter_map(|line| line.strip_prefix("role"));
    let own = all.filter(|name| name.contains("/reposure-operator") && !name.ends_with("-election"));
    Ok(own.map(|name| format!("role{}", name.replace(".rbac.authorization.k8s.io", ""))).collect())
}

#[test]
fn one_that_is_installed_anew_has_no_more_than_it_is_to_have() -> Result<()> {
    Stage::play_bare("less", |stage| {
        let other = Stage::new("less-other")?;
        install(stage, &["--watch", &format!("{},{}", stage.namespace, other.namespace), "--role=view"])?;
        let all =
            ["role/reposure-operator", "rolebinding/reposure-operator", "rolebinding/reposure-operator-view"];
        ensure!(
            rights(stage)? == all && rights(&other)? == all,
            "{:?} {:?}",
            rights(stage)?,
            rights(&other)?
        );
        // With what was given by hand.
        let image = stage.environment.image_args();
        stage.reposure(&["operator", "upgrade", "--wait", "--timeout=2m"]).args(&image).ok()?;
        ensure!(rights(stage)? == all && rights(&other)? == all, "an upgrade has taken something");
        install(stage, &[])?;
        ensure!(rights(stage)? == all[..2], "{:?}", rights(stage)?);
        ensure!(rights(&other)?.is_empty(), "{:?}", rights(&other)?);
        simple(stage)?;
        create(stage, "default", &["--wait", "--timeout=2m"])?;
        stage.reposure(&["registry", "delete", "default", "--wait"]).ok()?;
        install(stage, &["--role=view"])?;
        let refused = stage.reposure(&["operator", "uninstall", "--cluster"]).output()?;
        ensure!(refused.code == Some(7) && refused.stderr.contains("leave out --cluster"), "{refused}");
        ensure!(rights(stage)? == all, "{:?}", rights(stage)?);
        stage.reposure(&["operator", "uninstall", "--wait"]).ok()?;
        let bound = stage.kubectl(&["get", "roles,rolebindings", "-o", "name"]).ok()?.text();
        ensure!(!bound.contains("reposure-operator"), "{bound}");
        Ok(())
    })
}

/// Of the operator, and of its surrogates.
#[test]
fn logs_are_written_as_they_are_asked_for() -> Result<()> {
    Stage::play_bare("logs", |stage| {
        simple(stage)?;
        // A pod that is being replaced has none.
        let is_json = |logs: &[&str]| -> Result<Option<bool>> {
            let said = stage.reposure(logs).output()?;
            let is_object =
                |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object());
            let text = said.text();
            Ok((said.code == Some(0) && !text.is_empty()).then(|| text.lines().all(is_object)))
        };
        let both = || {
            Ok::<_, anyhow::Error>([
                is_json(&["operator", "logs"])?,
                is_json(&["registry", "logs", "default"])?,
            ])
        };
        install(stage, &["--log-format=json"])?;
        create(stage, "default", &["--wait", "--timeout=2m"])?;
        ensure!(both()? == [Some(true); 2], "a log is no JSON");
        install(stage, &["--log-format=text"])?;
        stage.until("both logs are text", || Ok(both()? == [Some(false); 2]))?;
        stage.kubectl(&["wait", "--for=condition=Ready", "registry/default", "--timeout=120s"]).ok().map(drop)
    })
}

#[test]
fn a_quota_and_a_limit_range_are_named_where_they_are_in_the_way() -> Result<()> {
    Stage::play_bare("quota", |stage| {
        let objects = r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
             "spec": {"hard": {"pods": "2", "limits.cpu": "10", "limits.memory": "4Gi"}}},
            {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "range"},
             "spec": {"limits": [{"type": "Container", "max": {"cpu": "4", "memory": "1Gi"}, "default": {"cpu": "1", "memory": "256Mi"}}]}}]}"#;
        fs::write(stage.path("quota.json"), objects)?;
        stage.kubectl(&["apply", "-f", "quota.json"]).ok()?;
        stage.install_operator()?;
        simple(stage)?;
        // Two pods are there.
        create(stage, "default", &[])?;
        until_reason(stage, "Ready", "QuotaExceeded")?;
        let seen = stage.reposure(&["registry", "describe", "default"]).ok()?.text();
        ensure!(seen.contains("exceeded quota: small"), "{seen}");
        let patch = r#"{"spec": {"hard": {"pods": "5"}}}"#;
        stage.kubectl(&["patch", "resourcequota", "small", "--type=merge", "-p", patch]).ok()?;
        stage.kubectl(&["wait", "--for=condition=Ready", "registry/default", "--timeout=120s"]).ok()?;
        fs::write(stage.path("file"), "small")?;
        stage.reposure(&["image", "push", "default", "app", "file"]).ok()?;
        let pulled = stage.reposure(&["image", "pull", "default", "app", "--unpack"]).ok()?;
        ensure!(pulled.text() == "small", "{pulled}");
        let tight = r#"{"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "tight"},
            "spec": {"limits": [{"type": "Container", "max": {"memory": "100Mi"}}]}}"#;
        fs::write(stage.path("tight.json"), tight)?;
        stage.kubectl(&["apply", "-f", "tight.json"]).ok()?;
        stage.kubectl(&["delete", "pod", "reposure-surrogate-default-0"]).ok()?;
        until_reason(stage, "SurrogateReady", "AdmissionRefused")
    })
}

#[test]
fn a_registry_with_the_longest_name_works() -> Result<()> {
    ensure!(LONG.len() == 63, "{}", LONG.len());
    Stage::play_bare("longest", |stage| {
        stage.install_operator()?;
        simple(stage)?;
        create(stage, LONG, &["--wait", "--timeout=2m"])?;
        fs::write(stage.path("file"), "long")?;
        for channel in ["proxy", "port-forward", "exec"] {
            stage.reposure(&["image", "push", LONG, "app", "file", "--channel", channel]).ok()?;
        }
        let pulled = stage.reposure(&["image", "pull", LONG, "app", "--unpack"]).ok()?;
        ensure!(pulled.text() == "long", "{pulled}");
        Ok(())
    })
}

#[test]
fn an_upgrade_replaces_the_surrogates_and_keeps_the_rest() -> Result<()> {
    Stage::play_bare("upgrade", |stage| {
        install(stage, &["--replicas=2", "--architectures=amd64,arm64"])?;
        simple(stage)?;
        create(stage, "default", &["--wait", "--timeout=2m"])?;
        let image =
            ["get", "pod", "reposure-surrogate-default-0", "-o", "jsonpath={.spec.containers[0].image}"];
        let before = stage.kubectl(&image).ok()?.text();
        // The same image by its other name, which the nodes have as well.
        let other = before.strip_prefix("docker.io/").context("no image of the default host")?;
        let args = ["operator", "upgrade", "--image", other, "--wait", "--timeout=3m"];
        stage.reposure(&args).ok()?;
        ensure!(stage.kubectl(&image).ok()?.text() == other, "the surrogate is an old one");
        let path = "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].args}";
        let kept = stage.kubectl(&["get", "deployment", "reposure-operator", "-o", path]).ok()?.text();
        ensure!(kept.starts_with("2 ") && kept.contains("amd64,arm64"), "{kept}");
        stage.kubectl(&["wait", "--for=condition=Ready", "registry/default", "--timeout=60s"]).ok().map(drop)
    })
}

/// The hashes of `first` and of `second`.
const HASHES: [(&str, &str); 2] = [
    ("old", "$2b$04$abcdefghijklmnopqrstuuvybHXQqehXl2NdtAhT6BAmwe6EZ8HOi"),
    ("new", "$2b$04$abcdefghijklmnopqrstuu0m4FNu/b0Ul0dVXpD5yXn5kdSneXCgS"),
];

/// Writes a Secret with these keys and values.
fn secret(stage: &Stage, name: &str, kind: &str, values: &[(&str, &str)]) -> Result<()> {
    let values: Vec<String> = values.iter().map(|(key, value)| format!("{key:?}: {value:?}")).collect();
    let object = format!(
        r#"{{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "{name}"}}, "type": "{kind}", "stringData": {{{}}}}}"#,
        values.join(", ")
    );
    let file = format!("{name}.json");
    fs::write(stage.path(&file), object)?;
    stage.kubectl(&["apply", "-f", &file]).ok().map(drop)
}

fn credentials(stage: &Stage, user: &str, password: &str) -> Result<()> {
    secret(stage, "credentials", "kubernetes.io/basic-auth", &[("username", user), ("password", password)])
}

/// Lets the simple registry know these users.
fn users(stage: &Stage, users: &[(&str, &str)]) -> Result<()> {
    let lines: Vec<String> = users.iter().map(|(user, hash)| format!("{user}:{hash}")).collect();
    secret(stage, "reposure-simple-htpasswd", "Opaque", &[("htpasswd", &lines.join("\n"))])
}

#[test]
fn a_changed_password_reaches_the_surrogate_while_pushes_run() -> Result<()> {
    Stage::play_bare("password", |stage| {
        stage.install_operator()?;
        users(stage, &HASHES)?;
        let install = ["simple", "install", "--authorization", "--ephemeral", "--wait", "--timeout=2m"];
        stage.reposure(&install).ok()?;
        credentials(stage, "old", "first")?;
        create(stage, "default", &["--authorization-secret=credentials", "--wait", "--timeout=2m"])?;
        until_reason(stage, "Authenticated", "CredentialsAccepted")?;
        let path = "jsonpath={.metadata.uid} {.status.containerStatuses[0].restartCount}";
        let pod = ["get", "pod", "reposure-surrogate-default-0", "-o", path];
        let before = stage.kubectl(&pod).ok()?.text();
        credentials(stage, "new", "second")?;
        let changed = Instant::now();
        push_until(stage, changed + Duration::from_secs(120))?;
        // From now on the old one is worth nothing, which the registry knows when the kubelet has brought it.
        users(stage, &HASHES[1..])?;
        push_until(stage, changed + Duration::from_secs(240))?;
        until_reason(stage, "Authenticated", "CredentialsAccepted")?;
        ensure!(stage.kubectl(&pod).ok()?.text() == before, "the surrogate was started again");
        credentials(stage, "old", "first")?;
        // The surrogate takes the registry for late, and goes on with the ones before.
        sleep(Duration::from_secs(100));
        until_reason(stage, "Ready", "Unauthorized")
    })
}

/// Pushes something new again and again.
fn push_until(stage: &Stage, end: Instant) -> Result<()> {
    while Instant::now() < end {
        fs::write(stage.path("file"), reposure_e2e::random_bytes(3 << 20))?;
        stage.reposure(&["image", "push", "default", "app", "file"]).ok()?;
        sleep(Duration::from_secs(3));
    }
    Ok(())
}
