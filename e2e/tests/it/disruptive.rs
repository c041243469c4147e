//! What disturbs every other test, and so runs after them, and only on the local cluster: see `scripts/e2e.sh`.

use std::{fs::File, thread::sleep, time::Duration};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Detour, Run, Scale, Stage};
use reposure_testing::{RandomImage, relay::Link};
use serde_json::{Value, json};

use crate::{
    lifecycle::{STAYS, nothing_is_left, what_stays_is_there, with_volume},
    middle::{MEBIBYTE, assert_pulled, stop_at},
};

#[test]
fn a_push_survives_the_crash_of_the_api_server() -> Result<()> {
    Stage::play("lost-apiserver", |stage| {
        let image = RandomImage::new(7, 3, 16 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        let detour = Detour::start(stage, Link { bandwidth: Some(4 * MEBIBYTE), ..Link::default() })?;
        let mut push = detour.reposure(stage, &["image", "push", "default", "big:v1", "big.tar"]).start()?;
        stop_at(&detour, |counts| counts.up >= 12 * MEBIBYTE)?;
        ensure!(push.is_running()?, "it ended before the API server was away");
        stage.environment.restart("apiserver")?;
        detour.relay.set(Link::default());
        let pushed = push.output()?;
        ensure!(pushed.code == Some(0) && pushed.text() == image.digest(), "{pushed}");
        detour.reposure(stage, &["image", "pull", "default", "big:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)
    })
}

/// Returns the sum of what the API server has counted of requests with this verb for this resource.
fn requests(stage: &Stage, verb: &str, resource: &str) -> Result<f64> {
    let metrics = stage.environment.kubectl().args(["get", "--raw", "/metrics"]).ok()?.text();
    let (verb, resource) = (format!("verb=\"{verb}\""), format!("resource=\"{resource}\""));
    let counts = metrics.lines().filter(|line| {
        line.starts_with("apiserver_request_total{") && line.contains(&verb) && line.contains(&resource)
    });
    Ok(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// Lists all that the operator could write to, with the version of each, which changes with every write.
fn versions(stage: &Stage) -> Result<String> {
    let kinds = "registries,configmaps,secrets,serviceaccounts,statefulsets,deployments,pods,services,events,\
                 networkpolicies,roles,rolebindings,persistentvolumeclaims";
    let each = "jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion}{\"\\n\"}{end}";
    Ok(stage.kubectl(&["get", kinds, "-o", each]).ok()?.text())
}

#[test]
fn in_a_quiet_cluster_nothing_is_written_but_the_lease() -> Result<()> {
    Stage::play("quiet", |stage| {
        stage.kubectl(&["wait", "--for=condition=Ready", "registry/default", "--timeout=60s"]).ok()?;
        // Until what the installation has stirred up is still.
        sleep(Duration::from_secs(20));
        let counted = || -> Result<Vec<f64>> {
            let what = [
                ("APPLY", "registries"),
                ("APPLY", "configmaps"),
                ("APPLY", "serviceaccounts"),
                ("APPLY", "statefulsets"),
                ("PATCH", "registries"),
                ("POST", "events"),
                ("PATCH", "events"),
            ];
            what.iter().map(|(verb, resource)| requests(stage, verb, resource)).collect()
        };
        let (before, leases) = (counted()?, requests(stage, "PUT", "leases")?);
        let versions = versions(stage)?;
        // Longer than the pause between two looks at a registry that is ready.
        sleep(Duration::from_secs(130));
        ensure!(counted()? == before, "{before:?} became {:?}", counted()?);
        let now = self::versions(stage)?;
        ensure!(now == versions, "{versions} became {now}");
        let renewed = requests(stage, "PUT", "leases")? - leases;
        ensure!(renewed >= 40.0, "the Lease was renewed {renewed} times");
        Ok(())
    })
}

#[test]
fn owner_references_may_be_enforced_and_the_api_server_restarted() -> Result<()> {
    Stage::play_bare("owners", |stage| {
        let plugin = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement";
        stage.install_operator()?;
        stage.reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
        let owner = owner(stage)?;
        own(stage, "before", &owner).ok().context("it is refused without the plugin")?;
        stage.environment.restart_apiserver_with(plugin)?;
        let done = enforced(stage, &owner);
        // With its usual plugins, and so away in between.
        stage.environment.restart_apiserver_with("")?;
        done?;
        stage.kubectl(&["delete", "configmap", "reposure-surrogate-default"]).ok()?;
        config_map_is_back(stage)?;
        let path = "jsonpath={.items[*].status.containerStatuses[0].restartCount}";
        let pods = ["get", "pods", "-l", "app.kubernetes.io/name=reposure-operator", "-o", path];
        ensure!(stage.kubectl(&pods).ok()?.text() == "0", "the operator was started again");
        Ok(())
    })
}

fn config_map_is_back(stage: &Stage) -> Result<()> {
    stage.until("the ConfigMap is back", || {
        let args = ["get", "configmap", "reposure-surrogate-default", "-o", "name", "--ignore-not-found"];
        Ok(!stage.kubectl(&args).ok()?.text().is_empty())
    })
}

/// What the operator does while owner references need rights, and what somebody may not who lacks them.
fn enforced(stage: &Stage, owner: &Value) -> Result<()> {
    let refused = own(stage, "after", owner).output()?;
    ensure!(refused.stderr.contains("cannot set blockOwnerDeletion"), "the plugin is not on: {refused}");
    stage.reposure(&["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"]).ok()?;
    let path = "jsonpath={.metadata.ownerReferences[0].blockOwnerDeletion}";
    let set = ["get", "statefulset", "reposure-surrogate-default", "-o", path];
    ensure!(stage.kubectl(&set).ok()?.text() == "true", "nothing is asked of the plugin");
    // A reference that somebody has taken away comes back, though that is no new object.
    let none = r#"[{"op": "remove", "path": "/metadata/ownerReferences"}]"#;
    stage.kubectl(&["patch", "statefulset", "reposure-surrogate-default", "--type=json", "-p", none]).ok()?;
    stage.until("the reference is back", || Ok(stage.kubectl(&set).ok()?.text() == "true"))?;
    // What was made without an operator is another owner's until one takes it over.
    let alone =
        ["registry", "create", "alone", "--standalone", "--provider=simple", "--wait", "--timeout=2m"];
    stage.reposure(&alone).args(stage.environment.image_args()).ok()?;
    stage.reposure(&["registry", "adopt", "alone", "--timeout=60s"]).ok()?;
    // A scheduler that loses the API server while it binds a pod ends by itself.
    let all = ["wait", "--for=condition=Ready", "registry/default", "registry/alone", "--timeout=120s"];
    stage.kubectl(&all).ok().map(drop)
}

/// Makes a `Registry` that may own things, and lets somebody make `ConfigMaps`, but change no finalizer of a `Registry`.
fn owner(stage: &Stage) -> Result<Value> {
    stage.kubectl(&["create", "role", "maker", "--verb=create,get", "--resource=configmaps"]).ok()?;
    stage.kubectl(&["create", "rolebinding", "maker", "--role=maker", "--user=maker"]).ok()?;
    let registry = json!({"apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry", "metadata": {"name": "owner"},
        "spec": {"type": "oci", "direct": {"host": "registry.example:5000"}}});
    stage.kubectl(&["create", "-f", "-"]).stdin(registry.to_string()).ok()?;
    let text = stage.kubectl(&["get", "registry", "owner", "-o", "json"]).ok()?.text();
    Ok(serde_json::from_str(&text)?)
}

/// Has that one make a `ConfigMap` that blocks the deletion of its owner.
fn own(stage: &Stage, name: &str, owner: &Value) -> Run {
    let reference = json!({"apiVersion": owner["apiVersion"], "kind": "Registry", "name": "owner",
        "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true});
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [reference]}});
    stage.kubectl(&["create", "--as=maker", "-f", "-"]).stdin(object.to_string())
}

#[test]
fn with_all_an_uninstallation_takes_the_registries_and_their_definition() -> Result<()> {
    Stage::play_bare("all", |stage| {
        with_volume(stage)?;
        let elsewhere = Stage::new("all-elsewhere")?;
        let create = ["registry", "create", "other", "--host=registry.example:5000"];
        elsewhere.reposure(&create).ok()?;
        let all = ["operator", "uninstall", "--all", "--wait", "--timeout=2m"];
        let removed = stage.reposure(&all).ok()?;
        // One that it does not see to is left, and what it needs.
        ensure!(
            removed
                .stderr
                .contains(&format!("what stays: the definition of Registry with its roles, {STAYS}")),
            "{removed}"
        );
        elsewhere.kubectl(&["get", "registry", "other"]).ok()?;
        ensure!(
            stage.kubectl(&["get", "registries", "-o", "name"]).ok()?.text().is_empty(),
            "a registry is left"
        );
        nothing_is_left(stage)?;
        what_stays_is_there(stage)?;

        elsewhere.reposure(&["registry", "delete", "other", "--wait"]).ok()?;
        delete_what_others_left(stage)?;
        let removed = stage.reposure(&all).ok()?;
        let stays = removed.stderr.lines().find_map(|line| line.strip_prefix("what stays: "));
        ensure!(stays == Some(STAYS), "{removed}");
        let definition = ["get", "crd,clusterroles", "-o", "name"];
        stage.until("the definition is gone", || {
            let left = stage.environment.kubectl().args(definition).ok()?.text();
            Ok(!left.contains("registries.reposure") && !left.contains("/reposure-"))
        })?;
        nothing_is_left(stage)?;
        what_stays_is_there(stage)
    })
}

/// Deletes the registries of other tests' namespaces: one that is being deleted keeps them until the last of its pods has ended.
fn delete_what_others_left(stage: &Stage) -> Result<()> {
    let elsewhere = format!("metadata.namespace!={}", stage.namespace);
    let delete = ["delete", "registries", "--all-namespaces", "--field-selector", &elsewhere, "--timeout=2m"];
    stage.environment.kubectl().args(delete).ok().map(drop)
}

/// What belongs to the cluster and goes with the test.
struct OfCluster<'a>(&'a Stage);

impl OfCluster<'_> {
    /// Returns what binds the operator in the whole cluster.
    fn bindings(&self) -> Result<String> {
        let of = format!("{}/reposure-operator", self.0.namespace);
        let all =
            self.0.environment.kubectl().args(["get", "clusterrolebindings", "-o", "wide"]).ok()?.text();
        let names = all.lines().filter(|line| line.ends_with(&of)).filter_map(|line| line.split(' ').next());
        Ok(names.collect::<Vec<_>>().join(" "))
    }
}

impl Drop for OfCluster<'_> {
    fn drop(&mut self) {
        for (kind, name) in [
            ("clusterrole", "reposure-operator"),
            ("clusterrolebinding", "reposure-operator"),
            ("clusterrolebinding", "reposure-operator-view"),
        ] {
            let _ = self.0.kubectl(&["delete", "--ignore-not-found", kind, name]).output();
        }
    }
}

#[test]
fn an_operator_of_the_cluster_becomes_one_of_a_namespace() -> Result<()> {
    Stage::play_bare("narrowed", |stage| {
        let of_cluster = OfCluster(stage);
        let limited = crate::rights::limited(stage, "admin")?;
        let image = stage.environment.image_args();
        let install = |more: &[&str]| {
            stage.reposure(&["operator", "install", "--wait", "--timeout=2m"]).args(&image).args(more)
        };
        install(&["--cluster", "--role=view"]).ok()?;
        stage.reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
        let create = ["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"];
        stage.reposure(&create).ok()?;
        let both = "reposure-operator reposure-operator-view";
        ensure!(of_cluster.bindings()? == both, "{}", of_cluster.bindings()?);
        // One who may not take them is told who can.
        let told = install(&[]).env("KUBECONFIG", &limited).ok()?;
        ensure!(
            told.stderr.contains("kubectl delete clusterrolebinding,clusterrole reposure-operator"),
            "{told}"
        );
        ensure!(of_cluster.bindings()? == both, "{}", of_cluster.bindings()?);
        install(&[]).ok()?;
        ensure!(of_cluster.bindings()?.is_empty(), "{} is left", of_cluster.bindings()?);
        let roles = stage.environment.kubectl().args(["get", "clusterroles", "-o", "name"]).ok()?.text();
        ensure!(!roles.contains("/reposure-operator") && roles.contains("/reposure-view"), "{roles}");
        stage.kubectl(&["delete", "configmap", "reposure-surrogate-default"]).ok()?;
        config_map_is_back(stage)?;
        stage.kubectl(&["wait", "--for=condition=Ready", "registry/default", "--timeout=60s"]).ok()?;

        install(&["--cluster", "--role=view"]).ok()?;
        let left = stage.kubectl(&["get", "rolebindings", "-o", "name"]).ok()?.text();
        ensure!(!left.lines().any(|name| name.ends_with("/reposure-operator")), "{left}");
        stage.reposure(&["registry", "delete", "default", "--wait"]).ok()?;
        delete_what_others_left(stage)?;
        stage.reposure(&["operator", "uninstall", "--cluster", "--wait"]).ok()?;
        ensure!(of_cluster.bindings()?.is_empty(), "{} is left", of_cluster.bindings()?);
        nothing_is_left(stage)?;
        let gone = stage.reposure(&["operator", "uninstall", "--cluster", "--all"]).output()?;
        ensure!(gone.code == Some(3), "{gone}");
        Ok(())
    })
}

#[test]
fn a_surrogate_leaves_a_lost_node() -> Result<()> {
    Stage::play_bare("lost-node", |stage| {
        let install = ["operator", "install", "--cluster", "--wait", "--timeout=2m"];
        // On the node that stays.
        let done = stage.environment.kubectl().args(["cordon", "node2"]).ok().and_then(|_| {
            stage.reposure(&install).args(stage.environment.image_args()).ok()?;
            stage.reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()
        });
        stage.environment.kubectl().args(["uncordon", "node2"]).ok()?;
        done?;
        let done = lost_node(stage);
        stage.environment.start("node2/kubelet")?;
        stage.environment.kubectl().args(["uncordon", "node1"]).ok()?;
        stage
            .environment
            .kubectl()
            .args(["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s"])
            .ok()?;
        let roles = ["delete", "clusterrole,clusterrolebinding", "reposure-operator"];
        stage.environment.kubectl().args(roles).ok()?;
        done
    })
}

fn lost_node(stage: &Stage) -> Result<()> {
    stage.environment.kubectl().args(["cordon", "node1"]).ok()?;
    let create = ["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"];
    stage.reposure(&create).ok()?;
    stage.environment.kubectl().args(["uncordon", "node1"]).ok()?;
    let node = [
        "get",
        "pod",
        "reposure-surrogate-default-0",
        "-o",
        "jsonpath={.spec.nodeName}",
        "--ignore-not-found",
    ];
    ensure!(stage.kubectl(&node).ok()?.text() == "node2", "the surrogate is elsewhere");
    stage.environment.stop("node2/kubelet")?;
    // 50 s until Kubernetes takes the node for lost, 30 s that the surrogate bears it, 30 s of grace.
    sleep(Duration::from_secs(90));
    stage.until("the surrogate is on the other node", || Ok(stage.kubectl(&node).ok()?.text() == "node1"))?;
    stage.kubectl(&["wait", "--for=condition=Ready", "registry/default", "--timeout=120s"]).ok().map(drop)
}

#[test]
fn cert_manager_makes_the_certificate_where_it_is_there() -> Result<()> {
    Stage::play_bare("certmanager", crate::cert_manager::makes_the_certificate)
}

#[test]
fn secrets_that_a_certificate_owns_stay_where_they_have_to() -> Result<()> {
    Stage::play_bare("certowner", crate::cert_manager::keeps_secrets_that_a_certificate_owns)
}

#[test]
fn openshift_s_registry_is_found_and_takes_images() -> Result<()> {
    Stage::play_bare("openshift", crate::openshift::with_registry)
}

/// How long an operator is watched while nothing happens: it looks at each registry once in that time.
const QUIET: Duration = Duration::from_secs(60);

#[test]
fn an_operator_bears_five_hundred_registries() -> Result<()> {
    Stage::play_bare("scale", |stage| {
        let scale = Scale::measure(stage, 500, QUIET)?;
        eprintln!("{scale}");
        scale.check_anywhere()
    })
}
