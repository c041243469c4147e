//! Rights by verb: what is granted is had over every channel, and nothing else is.

use std::{fs, path::PathBuf};

use anyhow::{Result, ensure};
use reposure_e2e::{Output, Run, Stage};
use serde_json::Value;

use crate::standalone::CREATE;

/// The channels that a grant opens.
const GRANTED: [&str; 2] = ["proxy", "port-forward"];
/// The exit code of a right that is missing.
const DENIED: Option<i32> = Some(4);

#[test]
fn what_is_granted_is_had_and_no_more() -> Result<()> {
    Stage::play("grants", |stage| {
        fs::write(stage.path("file"), "content")?;
        stage.reposure(&["image", "push", "default", "app", "file"]).ok()?;
        let user = User::create(stage, "tenant")?;
        user.is_denied(&["image", "pull", "default", "app", "--unpack"])?;
        shows_without_writing(stage)?;

        grant(stage, "--pull")?;
        user.may(&["image", "pull", "default", "app", "--unpack"])?;
        for channel in GRANTED {
            let pulled =
                user.reposure(&["image", "pull", "default", "app", "--unpack", "--channel", channel]).ok()?;
            ensure!(pulled.text() == "content", "{pulled}");
            user.is_denied(&["image", "push", "default", "new", "file", "--channel", channel])?;
            user.is_denied(&["image", "delete", "default", "app", "--channel", channel])?;
        }
        user.is_denied(&["image", "pull", "default", "app", "--unpack", "--channel=exec"])?;
        // By name alone: no other pod, and no other registry's.
        let other = ["get", "--raw", &proxied(stage, "reposure-simple:5000")];
        let refused = user.kubectl(&other).output()?;
        ensure!(refused.stderr.contains("Forbidden"), "another pod was reached: {refused}");

        grant(stage, "--push")?;
        user.may(&["image", "push", "default", "proxy", "file", "--channel=proxy"])?;
        user.reposure(&["image", "push", "default", "port-forward", "file", "--channel=port-forward"])
            .ok()?;
        user.reposure(&["image", "pull", "default", "proxy", "--unpack"]).ok()?;
        for channel in GRANTED {
            user.is_denied(&["image", "delete", "default", channel, "--channel", channel])?;
        }

        grant(stage, "--admin")?;
        user.may(&["image", "delete", "default", "proxy", "--channel=proxy"])?;
        user.reposure(&["image", "delete", "default", "port-forward", "--channel=port-forward"]).ok()?;
        is_shown(stage)?;
        is_taken(stage, &user)?;
        goes_with_the_registry(stage)
    })
}

#[test]
fn an_editor_can_push_in_his_namespace_and_neither_grant_nor_reach_into_another() -> Result<()> {
    Stage::play("editors", |stage| {
        fs::write(stage.path("file"), "content")?;
        let secret = ["create", "secret", "generic", "credentials", "--from-literal=password=secret"];
        stage.kubectl(&secret).ok()?;
        let editor = User::create(stage, "editor")?;
        editor.bind("edit")?;
        editor.may(&["image", "push", "default", "app", "file"])?;
        let grant = ["registry", "grant", "default", "--pull", "--user=ann"];
        let refused = editor.reposure(&grant).output()?;
        ensure!(refused.code == DENIED, "an editor granted: {refused}");
        for part in
            ["cannot grant pull on registry default", "the role admin in namespace", "cannot make Roles"]
        {
            ensure!(refused.stderr.contains(part), "{part:?} is not said: {refused}");
        }
        let seen = editor.reposure(&["registry", "access", "default"]).ok()?;
        ensure!(seen.text().contains("you") && seen.text().contains("admin"), "{seen}");
        ensure!(seen.stderr.contains("only what you may do is shown"), "{seen}");
        let others = editor.reposure(&["registry", "access", "default", "--user=ann"]).output()?;
        ensure!(others.code == DENIED && others.stderr.contains("localsubjectaccessreviews"), "{others}");
        let described = editor.reposure(&["registry", "describe", "default"]).ok()?;
        ensure!(described.text().contains("others are not shown"), "{described}");

        let elsewhere = Stage::new("tenants")?;
        let tenant = User::create(&elsewhere, "tenant")?;
        tenant.bind("edit")?;
        elsewhere.until("the tenant is an editor", || {
            let may = ["auth", "can-i", "get", "secrets"];
            Ok(elsewhere.kubectl(&may).env("KUBECONFIG", &tenant.kubeconfig).output()?.text() == "yes")
        })?;
        let here = |run: Run| run.env("KUBECONFIG", &tenant.kubeconfig).output();
        let read = here(stage.kubectl(&["get", "secret", "credentials", "-o", "yaml"]))?;
        ensure!(read.stderr.contains("Forbidden"), "another namespace's credentials were read: {read}");
        for args in [
            &["image", "push", "default", "app", "file"][..],
            &["image", "pull", "default", "app", "--unpack"],
            &["registry", "info", "default", "password"],
        ] {
            let refused = here(stage.reposure(args))?;
            ensure!(refused.code == DENIED, "{args:?} in another namespace: {refused}");
        }
        Ok(())
    })
}

/// Whoever reaches a registry can make a surrogate of his own for it, and is let in by its password alone.
#[test]
fn a_password_keeps_out_who_reaches_the_registry_from_another_namespace() -> Result<()> {
    Stage::play_bare("walled", |stage| {
        let install = ["simple", "install", "--authorization", "--ephemeral", "--wait", "--timeout=2m"];
        stage.reposure(&install).ok()?;
        stage.reposure(&CREATE).args(stage.environment.image_args()).ok()?;
        let elsewhere = Stage::new("outsiders")?;
        fs::write(elsewhere.path("file"), "content")?;
        let tenant = User::create(&elsewhere, "tenant")?;
        tenant.bind("edit")?;
        let host = format!("--host=reposure-simple.{}.svc:5000", stage.namespace);
        let create = ["registry", "create", "theirs", "--standalone", "--scheme=http", &host];
        let image = elsewhere.environment.image_args();
        elsewhere.until("the tenant is an editor, and has a surrogate", || {
            Ok(tenant.reposure(&create).args(image.clone()).output()?.code == Some(0))
        })?;
        let push = ["image", "push", "theirs", "app", "file"];
        elsewhere.until("the surrogate answers, and the registry refuses", || {
            let refused = tenant.reposure(&push).output()?;
            ensure!(refused.code != Some(0), "it was let in without a password: {refused}");
            Ok(refused.code == DENIED && refused.stderr.contains("401"))
        })?;
        tenant.is_denied(&["image", "list", "theirs"])?;
        ensure!(stage.reposure(&["image", "list", "default"]).ok()?.text().is_empty(), "something arrived");
        Ok(())
    })
}

fn grant(stage: &Stage, level: &str) -> Result<Output> {
    stage.reposure(&["registry", "grant", "default", level, "--serviceaccount=tenant"]).ok()
}

fn proxied(stage: &Stage, pod: &str) -> String {
    format!("/api/v1/namespaces/{}/pods/{pod}/proxy/v2/", stage.namespace)
}

fn shows_without_writing(stage: &Stage) -> Result<()> {
    let args = ["registry", "grant", "default", "--push", "--user=ann", "--dry-run", "-o", "yaml"];
    let shown = stage.reposure(&args).ok()?;
    for part in ["kind: Role\n", "kind: RoleBinding\n", "reposure:default:push", "name: ann"] {
        ensure!(shown.text().contains(part), "{part:?} is not shown: {shown}");
    }
    let checked =
        stage.kubectl(&["create", "--dry-run=server", "-f", "-"]).stdin(shown.stdout.clone()).output()?;
    // The Role is checked; the binding needs one that is there.
    ensure!(checked.text().contains("role.rbac.authorization.k8s.io/reposure:default:push"), "{checked}");
    ensure!(roles(stage)?.is_empty(), "a dry run wrote {}", roles(stage)?);
    Ok(())
}

fn is_shown(stage: &Stage) -> Result<()> {
    let shown = stage.reposure(&["registry", "access", "default", "-o", "json"]).ok()?;
    let lines: Vec<Value> = serde_json::from_slice(&shown.stdout)?;
    let name = format!("ServiceAccount {}:tenant", stage.namespace);
    for level in ["pull", "push", "admin"] {
        let line = lines.iter().find(|line| line["subject"] == name && line["level"] == level);
        let line = line.cloned().unwrap_or_default();
        ensure!(line["allowed"] == true, "{level} is not shown: {shown}");
        ensure!(line["via"] == format!("rolebinding/reposure:default:{level}"), "{shown}");
        ensure!(line["channels"] == serde_json::json!(GRANTED), "{shown}");
    }
    let you = lines.last().cloned().unwrap_or_default();
    ensure!(you["subject"] == "you" && you["level"] == "admin", "{shown}");
    let described = stage.reposure(&["registry", "describe", "default"]).ok()?.text();
    for said in
        ["rolebinding/reposure:default:push", "you", "Node:", "Version:", "SurrogateReady", "LAST SEEN"]
    {
        ensure!(described.contains(said), "{said} is not in {described}");
    }
    is_asked_for(stage)
}

/// What others may do is asked of the API server, also where it was not granted here.
fn is_asked_for(stage: &Stage) -> Result<()> {
    let editor = format!("{}:someone", stage.namespace);
    let bind = ["create", "rolebinding", "someone", "--clusterrole=edit", "--group=team"];
    stage.kubectl(&bind).args([format!("--serviceaccount={editor}")]).ok()?;
    let mut lines = Vec::<Value>::new();
    stage.until("the right is had", || {
        let ask = ["registry", "access", "default", "--user=nobody", "--group=team", "-o", "json"];
        let shown = stage
            .reposure(&ask)
            .args([format!("--serviceaccount={editor}"), "--serviceaccount=tenant".into()])
            .ok()?;
        lines = serde_json::from_slice(&shown.stdout)?;
        Ok(lines.iter().filter(|line| line["level"] == "admin").count() == 3)
    })?;
    let seen: Vec<(&Value, &Value)> = lines.iter().map(|line| (&line["subject"], &line["level"])).collect();
    ensure!(seen[0] == (&"User nobody".into(), &"none".into()), "{seen:?}");
    ensure!(lines[0]["allowed"] == false && lines[1]["via"].is_null(), "{lines:?}");
    ensure!(
        lines[1]["channels"] == serde_json::json!(["proxy", "port-forward", "exec"]),
        "edit opens exec: {lines:?}"
    );
    ensure!(lines[3]["channels"] == serde_json::json!(GRANTED), "{lines:?}");
    Ok(())
}

/// One of two loses all that he had, and the other keeps it.
fn is_taken(stage: &Stage, user: &User<'_>) -> Result<()> {
    stage.reposure(&["registry", "grant", "default", "--pull", "--user=ann", "--group=devs"]).ok()?;
    let revoke = ["registry", "revoke", "default", "--serviceaccount=tenant"];
    stage.reposure(&revoke).ok()?;
    stage.until("the rights are gone", || {
        Ok(user.reposure(&["image", "pull", "default", "app", "--unpack"]).output()?.code == DENIED)
    })?;
    user.is_denied(&["image", "push", "default", "new", "file"])?;
    let left = roles(stage)?;
    ensure!(left == "reposure:default:pull", "what nobody has any more stays: {left}");
    let bound = stage.kubectl(&["get", "rolebinding", "reposure:default:pull", "-o", "yaml"]).ok()?.text();
    ensure!(bound.contains("name: ann") && bound.contains("name: devs"), "{bound}");
    let again = stage.reposure(&revoke).output()?;
    ensure!(again.code == Some(3), "what nobody had was taken: {again}");
    Ok(())
}

fn goes_with_the_registry(stage: &Stage) -> Result<()> {
    stage.reposure(&["registry", "delete", "default", "--wait", "--timeout=1m"]).ok()?;
    stage.until("the Role is gone with its registry", || Ok(roles(stage)?.is_empty()))
}

/// Returns the names of the Roles of levels.
pub(crate) fn roles(stage: &Stage) -> Result<String> {
    let names = ["get", "roles", "-o", "jsonpath={range .items[*]}{.metadata.name}{\"\\n\"}{end}"];
    let names = stage.kubectl(&names).ok()?.text();
    let names: Vec<&str> = names.lines().filter(|name| name.starts_with("reposure:")).collect();
    Ok(names.join(" "))
}

/// A ServiceAccount with a kubeconfig of its own, and no rights yet.
pub(crate) struct User<'a> {
    stage: &'a Stage,
    name: &'a str,
    kubeconfig: PathBuf,
}

impl<'a> User<'a> {
    pub(crate) fn create(stage: &'a Stage, name: &'a str) -> Result<Self> {
        stage.kubectl(&["create", "serviceaccount", name]).ok()?;
        Ok(Self { stage, name, kubeconfig: stage.kubeconfig_of(name)? })
    }

    /// Gives it a ClusterRole in its namespace.
    pub(crate) fn bind(&self, role: &str) -> Result<()> {
        let account = format!("--serviceaccount={}:{}", self.stage.namespace, self.name);
        let role = format!("--clusterrole={role}");
        self.stage.kubectl(&["create", "rolebinding", self.name, &role, &account]).ok().map(drop)
    }

    pub(crate) fn reposure(&self, args: &[&str]) -> Run {
        self.stage.reposure(args).env("KUBECONFIG", &self.kubeconfig)
    }

    fn kubectl(&self, args: &[&str]) -> Run {
        self.stage.kubectl(args).env("KUBECONFIG", &self.kubeconfig)
    }

    /// Waits until the API server has heard of the right.
    pub(crate) fn may(&self, args: &[&str]) -> Result<()> {
        self.stage.until("the right is had", || Ok(self.reposure(args).output()?.code == Some(0)))
    }

    pub(crate) fn is_denied(&self, args: &[&str]) -> Result<()> {
        let refused = self.reposure(args).output()?;
        ensure!(refused.code == DENIED, "a right that nobody gave: {args:?}: {refused}");
        Ok(())
    }
}
