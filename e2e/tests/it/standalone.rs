//! Registries that no operator sees to, by the rights of `edit` alone; handed to an operator; and the providers, each with its own
//! manifests.

use std::{fs, path::PathBuf, sync::Mutex};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Output, Stage};
use serde_json::{Value, json};

/// The add-ons have fixed names in the cluster.
static ADDONS: Mutex<()> = Mutex::new(());

/// Makes a kubeconfig of a ServiceAccount that holds what `edit` does in the stage's namespace, but for what the definition of
/// `Registry` adds to it: so it is where that is not installed.
fn editor(stage: &Stage) -> Result<PathBuf> {
    let edit = stage.kubectl(&["get", "clusterrole", "edit", "-o", "json"]).ok()?;
    let edit: Value = serde_json::from_slice(&edit.stdout)?;
    let rules = edit["rules"].as_array().context("edit has no rules")?;
    let own = |rule: &&Value| !rule["apiGroups"].to_string().contains("reposure.puccini.cloud");
    let rules: Vec<&Value> = rules.iter().filter(own).collect();
    ensure!(!rules.is_empty(), "edit holds nothing");
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "editor"}, "rules": rules});
    stage.kubectl(&["create", "-f", "-"]).stdin(role.to_string()).ok()?;
    stage.kubectl(&["create", "serviceaccount", "editor"]).ok()?;
    let account = format!("--serviceaccount={}:editor", stage.namespace);
    stage.kubectl(&["create", "rolebinding", "editor", "--role=editor", &account]).ok()?;
    stage.kubeconfig_of("editor")
}

pub(crate) const CREATE: [&str; 7] =
    ["registry", "create", "default", "--standalone", "--wait", "--timeout=2m", "--provider=simple"];

#[test]
fn edit_in_one_namespace_is_enough() -> Result<()> {
    Stage::play_bare("standalone", |stage| {
        let editor = editor(stage)?;
        let reposure = |args: &[&str]| stage.reposure(args).env("KUBECONFIG", &editor);
        reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
        reposure(&CREATE).args(stage.environment.image_args()).ok()?;
        fs::write(stage.path("file"), "content")?;
        reposure(&["image", "push", "default", "app:v1", "file"]).ok()?;
        let pulled = reposure(&["image", "pull", "default", "app:v1", "--unpack"]).ok()?;
        ensure!(pulled.text() == "content", "{pulled}");
        ensure!(reposure(&["image", "list", "default"]).ok()?.text() == "app:v1", "the list is another one");
        reposure(&["image", "verify", "default", "app:v1"]).ok()?;
        let listed = reposure(&["registry", "list", "-o", "wide"]).ok()?;
        ensure!(listed.text().contains("True") && listed.text().contains("nobody"), "{listed}");
        let described = reposure(&["registry", "describe", "default"]).ok()?;
        let version = concat!("Version:      ", env!("CARGO_PKG_VERSION"));
        for said in ["standalone", "Image:        ", version, "Pulled", "SuccessfulCreate"] {
            ensure!(described.text().contains(said), "{said} is not in {described}");
        }
        let address =
            stage.kubectl(&["get", "service", "reposure-simple", "-o", "jsonpath={.spec.clusterIP}"]);
        let host = reposure(&["registry", "info", "default", "host"]).ok()?.text();
        ensure!(host == format!("{}:5000", address.ok()?.text()), "{host}");
        let seen = reposure(&["doctor"]).ok()?;
        ensure!(!seen.text().contains("failed"), "{seen}");
        reposure(&["registry", "logs", "default"]).ok()?;
        reposure(&["image", "delete", "default", "app:v1"]).ok()?;
        // Again changes it.
        let policies = || stage.kubectl(&["get", "networkpolicies", "-o", "name"]).ok();
        for (change, expected) in [
            ("--network-policy", "networkpolicy.networking.k8s.io/reposure-surrogate-default"),
            ("--upload=chunked", ""),
        ] {
            reposure(&CREATE).args(stage.environment.image_args()).args([change]).ok()?;
            ensure!(policies()?.text() == expected, "{change}: {}", policies()?);
            reposure(&["image", "push", "default", "app:v2", "file"]).ok()?;
        }
        reposure(&["registry", "delete", "default", "--wait"]).ok()?;
        stage.until("nothing of the registry is left", || {
            let kinds = "statefulsets,pods,configmaps,serviceaccounts";
            let left = stage.kubectl(&["get", kinds, "-o", "name"]).ok()?.text();
            Ok(!left.contains("reposure-surrogate"))
        })?;
        let missing = reposure(&["image", "list", "default"]).output()?;
        ensure!(missing.code != Some(0), "{missing}");
        Ok(())
    })
}

/// What is waited for is the pod of the change, and not the one that it replaces, which is ready all the time.
#[test]
fn a_change_is_waited_for() -> Result<()> {
    Stage::play_bare("change", |stage| {
        stage.reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
        let object = |name: &str| -> Result<Value> {
            Ok(serde_json::from_slice(&stage.kubectl(&["get", name, "-o", "json"]).ok()?.stdout)?)
        };
        let mut before = Value::Null;
        for change in ["--upload=auto", "--upload=chunked", "--upload=stream"] {
            stage.reposure(&CREATE).args(stage.environment.image_args()).args([change]).ok()?;
            let pod = object("pod/reposure-surrogate-default-0")?;
            let set = object("statefulset/reposure-surrogate-default")?;
            let hash = "reposure.puccini.cloud/config-hash";
            let of_pod = &pod["metadata"]["annotations"][hash];
            let of_set = &set["spec"]["template"]["metadata"]["annotations"][hash];
            ensure!(of_pod == of_set, "{change}: the pod is of {of_pod}, and should be of {of_set}");
            ensure!(pod["metadata"]["deletionTimestamp"].is_null(), "{change}: the pod is being deleted");
            ensure!(before != *of_set, "{change} has changed nothing");
            before = of_set.clone();
        }
        Ok(())
    })
}

#[test]
fn pods_go_where_their_images_run() -> Result<()> {
    Stage::play_bare("nodes", |stage| {
        let label = r"jsonpath={.items[0].metadata.labels.kubernetes\.io/arch}";
        let here = stage.kubectl(&["get", "nodes", "-o", label]).ok()?.text();
        let architectures = format!("--architectures=s390x,{here}");
        let simple = ["simple", "install", "--ephemeral", "--wait"];
        // No node of these tests is a mainframe.
        let refused = stage.reposure(&simple).args(["--timeout=5s", "--architectures=s390x"]).output()?;
        ensure!(refused.code != Some(0) && refused.stderr.contains("node affinity"), "{refused}");
        stage.reposure(&simple).args(["--timeout=2m", &architectures]).ok()?;
        let create = ["registry", "create", "default", "--standalone", "--provider=simple", "--wait"];
        let create = || stage.reposure(&create).args(stage.environment.image_args());
        let refused = create().args(["--timeout=5s", "--architectures=s390x"]).output()?;
        ensure!(refused.code == Some(5) && refused.stderr.contains("Unschedulable"), "{refused}");
        create().args(["--timeout=2m", &architectures]).ok().map(drop)
    })
}

#[test]
fn a_standalone_registry_is_handed_to_an_operator() -> Result<()> {
    Stage::play_bare("adopt", |stage| {
        stage.reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
        let create = || stage.reposure(&CREATE).args(stage.environment.image_args());
        create().args(["--network-policy"]).ok()?;
        fs::write(stage.path("file"), "content")?;
        stage.reposure(&["image", "push", "default", "app:v1", "file"]).ok()?;
        // The kind is defined, and no operator is there.
        let definition = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crd.yaml");
        stage.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", definition]).ok()?;
        let alone = stage.reposure(&["registry", "adopt", "default", "--timeout=3s"]).output()?;
        ensure!(alone.code != Some(0) && alone.stderr.contains("operator install"), "{alone}");
        let left = stage.kubectl(&["get", "registries", "-o", "name"]).ok()?;
        ensure!(left.text().is_empty(), "a failed adoption left {left}");
        stage.reposure(&["image", "push", "default", "app:v2", "file"]).ok()?;
        let refused = stage.reposure(&["registry", "create", "default", "--provider=simple"]).output()?;
        ensure!(refused.code == Some(7) && refused.stderr.contains("registry adopt"), "{refused}");
        stage.install_operator()?;
        stage.reposure(&["registry", "adopt", "default", "--timeout=2m"]).ok()?;
        let wait = ["wait", "--for=condition=Ready", "registry/default", "--timeout=120s"];
        stage.kubectl(&wait).ok()?;
        let second = create().output()?;
        ensure!(second.code == Some(7) && second.stderr.contains("for an operator"), "{second}");
        // This operator makes none, and would not follow a change by it.
        let policies = stage.kubectl(&["get", "networkpolicies", "-o", "name"]).ok()?;
        ensure!(policies.text().is_empty(), "{policies}");
        stage.reposure(&["image", "push", "default", "app:v3", "file"]).ok()?;
        let listed = stage.reposure(&["image", "list", "default"]).ok()?;
        ensure!(listed.text() == "app:v1\napp:v2\napp:v3", "{listed}");
        let get =
            ["get", "configmap,statefulset", "-l", "app.kubernetes.io/name=reposure-surrogate", "-o", "json"];
        let kept: Value = serde_json::from_slice(&stage.kubectl(&get).ok()?.stdout)?;
        for object in kept["items"].as_array().context("no objects")? {
            let owners = object["metadata"]["ownerReferences"].as_array().context("nobody owns it")?;
            ensure!(owners.len() == 1 && owners[0]["kind"] == "Registry", "{owners:?}");
            ensure!(object["data"]["registry.json"].is_null(), "the mark has stayed");
        }
        stage.reposure(&["registry", "delete", "default", "--wait"]).ok()?;
        stage.until("nothing of the registry is left", || {
            let left = stage.kubectl(&["get", "statefulsets,configmaps", "-o", "name"]).ok()?.text();
            Ok(!left.contains("reposure-surrogate"))
        })
    })
}

/// An add-on's Deployment and Service, made as its manifests say, and removed with the test.
struct Addon<'a> {
    stage: &'a Stage,
    namespace: &'static str,
    own_namespace: bool,
}

impl<'a> Addon<'a> {
    fn install(stage: &'a Stage, namespace: &'static str, service: &Value) -> Result<Self> {
        let addon = Self { stage, namespace, own_namespace: namespace != "kube-system" };
        if addon.own_namespace {
            stage.environment.kubectl().args(["create", "namespace", namespace]).ok()?;
        }
        let labels = json!({"e2e": "registry"});
        let container = json!({"name": "registry", "image": "docker.io/library/registry:2.8", "ports": [{"containerPort": 5000}],
            "env": [{"name": "REGISTRY_STORAGE_DELETE_ENABLED", "value": "true"}]});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "registry"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"enableServiceLinks": false, "containers": [container]}}}});
        let mut spec = service.clone();
        spec["selector"] = labels.clone();
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "registry"}, "spec": spec});
        addon.kubectl(&["create", "-f", "-"], deployment.to_string())?;
        addon.kubectl(&["create", "-f", "-"], service.to_string())?;
        addon.kubectl(&["rollout", "status", "deployment/registry", "--timeout=120s"], String::new())?;
        Ok(addon)
    }

    fn kubectl(&self, args: &[&str], stdin: String) -> Result<Output> {
        self.stage.environment.kubectl().args(["--namespace", self.namespace]).args(args).stdin(stdin).ok()
    }
}

impl Drop for Addon<'_> {
    fn drop(&mut self) {
        let _ = self.kubectl(&["delete", "deployment,service", "registry", "--wait=false"], String::new());
        if self.own_namespace {
            let delete = ["delete", "namespace", self.namespace, "--timeout=90s"];
            let _ = self.stage.environment.kubectl().args(delete).output();
        }
    }
}

/// Creates a registry by a provider, pushes and pulls.
fn works(stage: &Stage, provider: &str) -> Result<Output> {
    let create = ["registry", "create", "default", "--standalone", "--wait", "--timeout=2m"];
    let provider = format!("--provider={provider}");
    let created = stage.reposure(&create).args([&provider]).args(stage.environment.image_args()).ok()?;
    fs::write(stage.path("file"), "content")?;
    stage.reposure(&["image", "push", "default", "team/app:v1", "file"]).ok()?;
    let pulled = stage.reposure(&["image", "pull", "default", "team/app:v1", "--unpack"]).ok()?;
    ensure!(pulled.text() == "content", "{pulled}");
    Ok(created)
}

#[test]
fn the_add_on_of_microk8s() -> Result<()> {
    let _alone = ADDONS.lock();
    Stage::play_bare("microk8s", |stage| {
        let ports = json!([{"name": "registry", "port": 5000, "targetPort": 5000, "nodePort": 32000}]);
        let _addon =
            Addon::install(stage, "container-registry", &json!({"type": "NodePort", "ports": ports}))?;
        let created = works(stage, "auto")?;
        ensure!(created.stderr.contains("found provider microk8s"), "{created}");
        ensure!(stage.host()? == "localhost:32000", "nodes are told another host");
        Ok(())
    })
}

#[test]
fn the_add_on_of_minikube() -> Result<()> {
    let _alone = ADDONS.lock();
    Stage::play_bare("minikube", |stage| {
        let ports = json!([{"name": "http", "port": 80, "targetPort": 5000}]);
        let addon = Addon::install(stage, "kube-system", &json!({"type": "ClusterIP", "ports": ports}))?;
        works(stage, "minikube")?;
        let address =
            addon.kubectl(&["get", "service", "registry", "-o", "jsonpath={.spec.clusterIP}"], String::new());
        ensure!(stage.host()? == format!("{}:80", address?.text()), "nodes are told another host");
        Ok(())
    })
}

/// What kind, k3d and others write, of a registry that is there; without it, of none.
#[test]
fn a_local_registry_that_the_cluster_tells_of() -> Result<()> {
    let _alone = ADDONS.lock();
    Stage::play_bare("local", |stage| {
        stage.reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
        let pods = format!("reposure-simple.{}.svc:5000", stage.namespace);
        let told = format!(
            "--from-literal=localRegistryHosting.v1=host: localhost:5001\nhostFromClusterNetwork: {pods}\n"
        );
        let kube_public = || stage.environment.kubectl().args(["--namespace", "kube-public"]);
        kube_public().args(["create", "configmap", "local-registry-hosting", &told]).ok()?;
        let done = works(stage, "local").and_then(|_| stage.host());
        let removed = kube_public().args(["delete", "configmap", "local-registry-hosting"]).ok();
        ensure!(done? == "localhost:5001", "nodes are told another host");
        removed?;
        let none =
            stage.reposure(&["registry", "create", "other", "--standalone", "--provider=local"]).output()?;
        ensure!(none.code == Some(3) && none.stderr.contains("local-registry-hosting"), "{none}");
        Ok(())
    })
}
