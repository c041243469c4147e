//! A surrogate on a node that is lost: a node of which there is no more than the object, so that Kubernetes' controllers see it go.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use reposure_e2e::{Environment, Stage};
use serde_json::{Value, json};

/// How long a node must have been lost before anything is done, and how much later that may be.
const LOST: SignedDuration = SignedDuration::from_secs(60);
const SLACK: SignedDuration = SignedDuration::from_secs(20);
/// What the node is for: nothing that runs elsewhere.
const ARCHITECTURE: &str = "lost";
const POD: &str = "reposure-surrogate-default-0";

/// A node that nothing is scheduled to, and that never says anything.
struct Lost {
    environment: Environment,
    name: String,
    /// The name of the role that lets an operator read it, too.
    role: String,
}

impl Lost {
    fn new(stage: &Stage) -> Result<Self> {
        let name = format!("lost-{}", stage.namespace);
        let lost = Self { environment: stage.environment.clone(), role: name.clone(), name };
        let node = json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": lost.name, "labels": {"kubernetes.io/os": "linux", "kubernetes.io/arch": ARCHITECTURE}},
            "spec": {"taints": [{"key": "reposure-e2e", "effect": "NoSchedule"}]}});
        lost.environment.kubectl().args(["create", "-f", "-"]).stdin(node.to_string()).ok()?;
        let now = Timestamp::now().strftime("%FT%TZ").to_string();
        let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": now, "lastTransitionTime": now});
        let room = json!({"cpu": "8", "memory": "8Gi", "pods": "10"});
        let status = json!({"status": {"conditions": [ready], "capacity": room, "allocatable": room}});
        let patch = ["patch", "node", &lost.name, "--subresource=status", "--type=merge", "-p"];
        lost.environment.kubectl().args(patch).args([status.to_string()]).ok()?;
        Ok(lost)
    }

    /// Lets the operator of a stage read nodes.
    fn show(&self, stage: &Stage) -> Result<()> {
        let role = ["create", "clusterrole", &self.role, "--verb=get", "--resource=nodes"];
        self.environment.kubectl().args(role).ok()?;
        let account = format!("--serviceaccount={}:reposure-operator", stage.namespace);
        let bind = ["create", "clusterrolebinding", &self.role, &format!("--clusterrole={}", self.role)];
        self.environment.kubectl().args(bind).args([account]).ok().map(drop)
    }

    /// Puts the surrogate of a stage onto the node, and says what its kubelet would say.
    fn take(&self, stage: &Stage) -> Result<()> {
        stage.until("the pod is there", || Ok(uid(stage)?.is_some()))?;
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": POD},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self.name}});
        let place = format!("/api/v1/namespaces/{}/pods/{POD}/binding", stage.namespace);
        stage.kubectl(&["create", "--raw", &place, "-f", "-"]).stdin(binding.to_string()).ok()?;
        let now = Timestamp::now().strftime("%FT%TZ").to_string();
        let conditions: Vec<Value> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
            .iter()
            .map(|type_| json!({"type": type_, "status": "True", "lastTransitionTime": now}))
            .collect();
        let status = json!({"status": {"phase": "Running", "conditions": conditions}}).to_string();
        let patch = ["patch", "pod", POD, "--subresource=status", "--type=merge", "-p", &status];
        stage.kubectl(&patch).ok().map(drop)
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        let roles = ["delete", "clusterrole,clusterrolebinding", &self.role, "--ignore-not-found"];
        let node = ["delete", "node", &self.name, "--wait=false"];
        let _ = self.environment.kubectl().args(roles).output();
        let _ = self.environment.kubectl().args(node).output();
    }
}

/// Installs an operator whose surrogates run on such a node alone, and makes a registry.
fn prepare(stage: &Stage) -> Result<()> {
    stage.install_operator()?;
    let only = json!([{"op": "add", "path": "/spec/template/spec/containers/0/args/-",
        "value": format!("--architectures={ARCHITECTURE}")}]);
    let patch = ["patch", "deployment", "reposure-operator", "--type=json", "-p", &only.to_string()];
    stage.kubectl(&patch).ok()?;
    stage.kubectl(&["rollout", "status", "deployment/reposure-operator", "--timeout=60s"]).ok()?;
    // The one before would place the surrogate elsewhere, until it has ended.
    let operators = ["get", "pods", "-l", "app.kubernetes.io/name=reposure-operator", "-o", "name"];
    stage.until("one operator", || Ok(stage.kubectl(&operators).ok()?.text().lines().count() == 1))?;
    let registry = json!({"apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry", "metadata": {"name": "default"},
        "spec": {"type": "oci", "direct": {"host": "registry.example:5000"}, "scheme": "http"}});
    fs::write(stage.path("registry.json"), registry.to_string())?;
    stage.kubectl(&["create", "-f", "registry.json"]).ok().map(drop)
}

fn pod(stage: &Stage) -> Result<Option<Value>> {
    let text = stage.kubectl(&["get", "pod", POD, "-o", "json", "--ignore-not-found"]).ok()?.text();
    Ok(if text.is_empty() { None } else { Some(serde_json::from_str(&text)?) })
}

fn uid(stage: &Stage) -> Result<Option<String>> {
    Ok(pod(stage)?.and_then(|pod| pod["metadata"]["uid"].as_str().map(Into::into)))
}

fn condition<'a>(object: &'a Value, type_: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == type_).unwrap_or(&Value::Null)
}

/// Waits until Kubernetes has taken the pod for not ready, and returns since when.
fn marked(stage: &Stage) -> Result<Timestamp> {
    let is_marked = || Ok(pod(stage)?.is_some_and(|pod| condition(&pod, "Ready")["status"] == "False"));
    stage.until("the node is lost", is_marked)?;
    let pod = pod(stage)?.context("no pod")?;
    ensure!(condition(&pod, "ContainersReady")["status"] == "True", "{:#}", pod["status"]);
    let since = condition(&pod, "Ready")["lastTransitionTime"].as_str().context("no time")?;
    Ok(since.parse()?)
}

/// Deletes the pod, which nobody ends, and returns when it was gone.
fn taken_off(stage: &Stage, since: Timestamp) -> Result<Timestamp> {
    let before = uid(stage)?;
    // It should have ended a second later, and so by far before the node has been lost for long enough.
    stage.kubectl(&["delete", "pod", POD, "--grace-period=1", "--wait=false"]).ok()?;
    let (begun, mut said) = (Instant::now(), false);
    while begun.elapsed() < Duration::from_secs(150) {
        let text = stage.kubectl(&["get", "registry", "default", "-o", "json"]).ok()?.text();
        let registry: Value = serde_json::from_str(&text)?;
        let ready = condition(&registry, "SurrogateReady");
        said |= ready["reason"] == "NodeLost" && ready["message"].to_string().contains(&since.to_string());
        if uid(stage)? != before {
            ensure!(said, "the condition does not say it: {ready}");
            return Ok(Timestamp::now());
        }
        sleep(Duration::from_secs(1));
    }
    bail!("the pod is still there")
}

/// One operator may not read nodes, as one for a namespace; another may, as one for the cluster.
#[test]
fn a_surrogate_is_taken_off_a_node_that_has_been_lost_for_a_minute() -> Result<()> {
    Stage::play_bare("lost", |blind| {
        Stage::play_bare("lost-seen", |seeing| {
            let node = Lost::new(blind)?;
            node.show(seeing)?;
            for stage in [blind, seeing] {
                prepare(stage)?;
                node.take(stage)?;
            }
            std::thread::scope(|scope| {
                let both = [blind, seeing].map(|stage| {
                    scope.spawn(move || -> Result<()> {
                        let since = marked(stage)?;
                        let after = taken_off(stage, since)?.duration_since(since);
                        eprintln!("{}: after {after:#}", stage.namespace);
                        ensure!(after >= LOST, "too soon: after {after:#}");
                        ensure!(after <= LOST + SLACK, "too late: after {after:#}");
                        Ok(())
                    })
                });
                both.into_iter().try_for_each(|one| one.join().unwrap_or_else(|_| bail!("it has panicked")))
            })
        })
    })
}
