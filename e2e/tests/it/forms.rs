//! The forms that an operator is installed in by others: Helm and kustomize.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Run, Stage};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
/// The image by its other name, which the nodes have as well.
const OTHER_NAME: &str = concat!("reposure/reposure:", env!("CARGO_PKG_VERSION"));

fn helm(stage: &Stage, args: &[&str]) -> Run {
    let run = Run::new(stage.environment.tool("helm")).folder(&stage.path(""));
    // Nothing of the user's own.
    let run = run.env("KUBECONFIG", &stage.environment.kubeconfig).env("HOME", stage.path(""));
    run.args(["--namespace", &stage.namespace]).args(args)
}

/// Defines `Registry`, which other tests beside this one have as well, so that no release may have it for its own.
fn define(stage: &Stage) -> Result<()> {
    let definition = format!("{DEPLOY}/crd.yaml");
    stage.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &definition]).ok().map(drop)
}

/// Makes a registry that the operator of `stage` sees to, and pushes to it.
fn use_it(stage: &Stage) -> Result<()> {
    stage.reposure(&["simple", "install", "--ephemeral", "--wait", "--timeout=2m"]).ok()?;
    let create = ["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"];
    stage.reposure(&create).ok()?;
    push(stage, "v1")
}

fn push(stage: &Stage, tag: &str) -> Result<()> {
    fs::write(stage.path("file"), tag)?;
    stage.reposure(&["image", "push", "default", &format!("app:{tag}"), "file"]).ok().map(drop)
}

fn is_there(stage: &Stage, what: &[&str]) -> Result<bool> {
    let found = stage.kubectl(&["get", "-o", "name", "--ignore-not-found"]).args(what).ok()?;
    Ok(!found.text().is_empty())
}

#[test]
fn helm_installs_upgrades_and_leaves_what_is_the_users() -> Result<()> {
    Stage::play_bare("helm", |stage| {
        define(stage)?;
        let chart = format!("{DEPLOY}/chart");
        let image = stage.environment.image_args().pop().map(|image| format!("image={image}"));
        let run = |verb: &str, values: &[&str]| {
            let values = values.iter().copied().chain(image.as_deref());
            let sets: Vec<&str> = values.flat_map(|value| ["--set", value]).collect();
            helm(stage, &[verb, "reposure", &chart, "--wait", "--timeout=2m"]).args(sets).ok()
        };
        let notes = run("install", &["crd=false"])?;
        ensure!(notes.text().contains(&format!("sees to the registries of {}.", stage.namespace)), "{notes}");
        use_it(stage)?;
        for verb in ["install", "upgrade", "uninstall"] {
            let refused = stage.reposure(&["operator", verb]).output()?;
            ensure!(refused.code == Some(7) && refused.stderr.contains("helm upgrade"), "{refused}");
        }
        run("upgrade", &["crd=false", "networkPolicies=true", "replicas=2"])?;
        let policy = ["networkpolicy", "reposure-surrogate-default"];
        stage.until("the surrogate has its NetworkPolicy", || is_there(stage, &policy))?;
        stage.kubectl(&["delete"]).args(policy).ok()?;
        stage.until("the NetworkPolicy is back", || is_there(stage, &policy))?;
        push(stage, "v2")?;
        helm(stage, &["uninstall", "reposure", "--wait", "--timeout=2m"]).ok()?;
        ensure!(!is_there(stage, &["deployment", "reposure-operator"])?, "the operator is still there");
        ensure!(is_there(stage, &["registry", "default"])?, "the registry went with its operator");
        push(stage, "v3")
    })
}

#[test]
fn a_cluster_takes_the_chart_with_every_choice_and_the_definition() -> Result<()> {
    Stage::play_bare("chart", |stage| {
        let chart = format!("{DEPLOY}/chart");
        let choices = "replicas=2,architectures={amd64,arm64},imagePullSecret=secret,role=view,networkPolicies=true,execPolicy=true";
        for scope in ["cluster=true", "cluster=false"] {
            let rendered =
                helm(stage, &["template", "reposure", &chart, "--set", choices, "--set", scope]).ok()?;
            let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"];
            let taken = stage.kubectl(&apply).stdin(rendered.stdout).ok()?.text();
            for kind in ["customresourcedefinition", "validatingadmissionpolicybinding", "deployment"] {
                ensure!(taken.contains(kind), "{kind} is missing in {taken}");
            }
        }
        Ok(())
    })
}

/// An overlay as the base describes it, for one namespace, which is alone in having names of its own in the cluster.
fn overlay(stage: &Stage) -> Result<String> {
    let base = stage.path("base");
    fs::create_dir(&base)?;
    for name in ["kustomization.yaml", "crd.yaml", "operator.yaml"] {
        fs::copy(format!("{DEPLOY}/{name}"), base.join(name))?;
    }
    let namespace = &stage.namespace;
    let image = stage.environment.image_args().pop().unwrap_or_else(|| OTHER_NAME.into());
    let (name, tag) = image.rsplit_once(':').context("an image without a tag")?;
    let rename = |kind: &str, more: &str| {
        format!(
            "- target: {{kind: {kind}, name: ^reposure-operator$}}\n  options: {{allowNameChange: true}}\n  patch: |-\n    \
             - {{op: replace, path: /metadata/name, value: reposure-operator-{namespace}}}\n{more}"
        )
    };
    let role = format!("    - {{op: replace, path: /roleRef/name, value: reposure-operator-{namespace}}}\n");
    let overlay = format!(
        "resources: [base]\nnamespace: {namespace}\nimages:\n- {{name: docker.io/reposure/reposure, newName: {name}, newTag: {tag:?}}}\n\
         replacements:\n- source: {{kind: Deployment, name: reposure-operator, fieldPath: spec.template.spec.containers.0.image}}\n  \
         targets:\n  - select: {{kind: Deployment, name: reposure-operator}}\n    fieldPaths: [spec.template.spec.containers.0.args.2]\n\
         patches:\n- target: {{kind: Deployment}}\n  patch: |-\n    \
         - {{op: replace, path: /spec/template/spec/containers/0/args/0, value: --namespace={namespace}}}\n{}{}",
        rename("ClusterRole", ""),
        rename("ClusterRoleBinding", &role),
    );
    fs::write(stage.path("kustomization.yaml"), overlay)?;
    Ok(image)
}

/// What belongs to the cluster and goes with the test.
struct OfCluster<'a>(&'a Stage);

impl Drop for OfCluster<'_> {
    fn drop(&mut self) {
        let name = format!("reposure-operator-{}", self.0.namespace);
        let _ = self.0.kubectl(&["delete", "clusterrole,clusterrolebinding", &name]).output();
    }
}

#[test]
fn kustomize_installs_what_an_overlay_makes_of_it() -> Result<()> {
    Stage::play_bare("kustomize", |stage| {
        let image = overlay(stage)?;
        let _of_cluster = OfCluster(stage);
        stage.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", "."]).ok()?;
        stage.kubectl(&["rollout", "status", "deployment/reposure-operator", "--timeout=120s"]).ok()?;
        use_it(stage)?;
        let path = "jsonpath={.spec.containers[0].image}";
        let of_surrogate = stage.kubectl(&["get", "pod", "reposure-surrogate-default-0", "-o", path]).ok()?;
        ensure!(of_surrogate.text() == image, "{of_surrogate}");
        Ok(())
    })
}
