//! What nobody may do in a surrogate's pod, whatever his rights; and which policies of the network stay.

use std::fs;

use anyhow::{Result, ensure};
use reposure_e2e::{Output, Stage};

const POD: &str = "reposure-surrogate-default-0";
/// What the policy says.
const WHY: &str = "holds the credentials of its registry";

fn name(stage: &Stage) -> String {
    format!("reposure-exec.{}", stage.namespace)
}

/// The policy, which belongs to the cluster and goes with the test.
struct Policy<'a>(&'a Stage);

impl Policy<'_> {
    fn objects(&self) -> Result<String> {
        let kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding";
        let get = ["get", kinds, "-o", "name"];
        let all = self.0.kubectl(&get).ok()?.text();
        Ok(all.lines().filter(|line| line.ends_with(&name(self.0))).collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Policy<'_> {
    fn drop(&mut self) {
        let kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding";
        let _ = self.0.kubectl(&["delete", "--ignore-not-found", kinds, &name(self.0)]).output();
    }
}

fn install(stage: &Stage, args: &[&str]) -> Result<()> {
    let run = stage.reposure(&["operator", "install", "--wait", "--timeout=2m"]);
    run.args(args).args(stage.environment.image_args()).ok().map(drop)
}

fn push(stage: &Stage, channel: &str) -> Result<()> {
    fs::write(stage.path("file"), channel)?;
    stage.reposure(&["image", "push", "default", "app", "file", "--channel", channel]).ok().map(drop)
}

fn is_denied(output: &Output) -> bool {
    output.code != Some(0)
        && output.stderr.contains(WHY)
        && output.stderr.contains("ValidatingAdmissionPolicy")
}

/// Every way into a pod that RBAC may open.
fn ways(stage: &Stage) -> Result<Vec<Output>> {
    let exec = |command: &[&str]| stage.kubectl(&["exec", POD, "--"]).args(command).output();
    let add = r#"{"spec": {"ephemeralContainers": [{"name": "own", "image": "docker.io/reposure/reposure", "targetContainerName": "surrogate",
        "securityContext": {"runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}}]}}"#;
    let patch = ["patch", "pod", POD, "--subresource=ephemeralcontainers", "--type=strategic", "-p", add];
    Ok(vec![
        exec(&["/reposure-surrogate", "--help"])?,
        exec(&["/reposure-surrogate"])?,
        exec(&["/reposure-surrogate", "session", "--help"])?,
        exec(&["session", "/reposure-surrogate"])?,
        exec(&["cat", "/var/run/reposure/kubernetes/token"])?,
        stage.kubectl(&["attach", POD]).output()?,
        stage.kubectl(&patch).output()?,
    ])
}

#[test]
fn nothing_but_sessions_runs_in_a_surrogate() -> Result<()> {
    Stage::play_bare("policy", |stage| {
        let policy = Policy(stage);
        install(stage, &["--exec-policy"])?;
        ensure!(policy.objects()?.lines().count() == 2, "{}", policy.objects()?);
        stage.reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
        let create = ["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"];
        stage.reposure(&create).ok()?;
        // Every API server learns of a policy by itself.
        stage.until("the policy holds", || {
            Ok(is_denied(&stage.kubectl(&["exec", POD, "--", "/reposure-surrogate", "--help"]).output()?))
        })?;
        for output in ways(stage)? {
            ensure!(is_denied(&output), "not denied: {output}");
        }
        for channel in ["exec", "kubectl", "port-forward", "proxy"] {
            push(stage, channel)?;
        }
        let other = ["exec", "deployment/reposure-simple", "--", "registry", "--version"];
        stage.kubectl(&other).ok()?;
        // An upgrade keeps it, an installation without it takes it.
        let image = stage.environment.image_args();
        stage.reposure(&["operator", "upgrade", "--wait", "--timeout=2m"]).args(&image).ok()?;
        ensure!(policy.objects()?.lines().count() == 2, "an upgrade has lost it");
        install(stage, &[])?;
        ensure!(policy.objects()?.is_empty(), "{} is left", policy.objects()?);
        stage.until("the policy does not hold any more", || {
            Ok(stage.kubectl(&["exec", POD, "--", "/reposure-surrogate", "--help"]).output()?.code == Some(0))
        })?;
        install(stage, &["--exec-policy"])?;
        stage.reposure(&["registry", "delete", "default", "--wait"]).ok()?;
        stage.reposure(&["operator", "uninstall", "--wait"]).ok()?;
        ensure!(policy.objects()?.is_empty(), "{} is left", policy.objects()?);
        Ok(())
    })
}

#[test]
fn a_simple_registry_that_is_installed_without_a_policy_has_none() -> Result<()> {
    Stage::play_bare("opened", |stage| {
        let install = |more: &[&str]| stage.reposure(&["simple", "install", "--ephemeral"]).args(more).ok();
        let policies =
            || Ok::<_, anyhow::Error>(stage.kubectl(&["get", "networkpolicies", "-o", "name"]).ok()?.text());
        let own = "networkpolicy.networking.k8s.io/reposure-simple";
        install(&["--network-policy"])?;
        ensure!(policies()? == own, "{}", policies()?);
        let opened = install(&[])?;
        ensure!(opened.text().contains("networkpolicy/reposure-simple deleted"), "{opened}");
        ensure!(policies()?.is_empty(), "{} is left", policies()?);
        // One of somebody else's, of the same name.
        let policy = r#"{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "reposure-simple"}, "spec": {"podSelector": {}}}"#;
        stage.kubectl(&["create", "-f", "-"]).stdin(policy).ok()?;
        install(&[])?;
        ensure!(policies()? == own, "it is gone: {}", policies()?);
        stage.reposure(&["simple", "uninstall", "--wait"]).ok()?;
        ensure!(policies()? == own, "it is gone: {}", policies()?);
        Ok(())
    })
}
