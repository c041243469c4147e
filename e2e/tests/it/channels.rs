//! The channels, each by one who holds the right to it and no other.

use std::{
    env,
    fs::{self, File},
    path::PathBuf,
};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Detour, Forward, Run, Stage};
use reposure_testing::{RandomImage, relay::Link};
use serde_json::Value;

use crate::middle::{MEBIBYTE, assert_pulled, stop_at};

const POD: &str = "reposure-surrogate-default-0";
const PUSH_ACCOUNT: &str = "--resource-name=reposure-surrogate-default-push";
const PULL_ACCOUNT: &str = "--resource-name=reposure-surrogate-default-pull";

#[test]
fn each_right_opens_its_channel() -> Result<()> {
    Stage::play("channels", |stage| {
        fs::write(stage.path("file"), reposure_e2e::random_bytes(9 << 20))?;
        let proxied = format!("--resource-name=https:{POD}:10250");
        let pod = format!("--resource-name={POD}");
        let proxy = ["--verb=get,create,update", "--resource=pods/proxy", &proxied];
        let forward = ["--verb=get,create", "--resource=pods/portforward", &pod];
        let exec = ["--verb=get,create", "--resource=pods/exec", &pod];
        let token = token(PUSH_ACCOUNT);
        let users: [(_, _, &[&[&str]]); 3] = [
            ("by-proxy", "proxy", &[&proxy, &token]),
            ("by-forward", "port-forward", &[&forward, &token]),
            // Whoever may exec may do all that the surrogate can, and needs no token.
            ("by-exec", "exec", &[&exec]),
        ];
        for (name, channel, rights) in users {
            let user = User::create(stage, name, rights)?;
            let pushed = user.reposure(&["image", "push", "default", name, "file", "-v"]).ok()?;
            ensure!(pushed.stderr.contains(&format!("channel {channel}")), "another channel: {pushed}");
            for other in ["proxy", "port-forward", "exec"].into_iter().filter(|other| *other != channel) {
                let refused = user
                    .reposure(&["image", "push", "default", name, "file", "--channel", other])
                    .output()?;
                ensure!(refused.code == Some(4), "a right that nobody gave: {refused}");
            }
        }
        let pull = |channel: &str| -> Result<Vec<u8>> {
            let args = ["image", "pull", "default", "by-exec", channel, "--channel", channel];
            stage.reposure(&args).ok()?;
            Ok(fs::read(stage.path(channel))?)
        };
        let pulled = pull("proxy")?;
        for channel in ["port-forward", "exec", "kubectl"] {
            ensure!(pull(channel)? == pulled, "{channel} gives other bytes");
        }
        stage.reposure(&["image", "push", "default", "by-kubectl", "file", "--channel=kubectl"]).ok()?;
        let back = stage.reposure(&["image", "pull", "default", "by-kubectl", "--unpack"]).ok()?;
        ensure!(back.stdout == fs::read(stage.path("file"))?, "kubectl pushed other bytes");
        Ok(())
    })
}

#[test]
fn who_may_only_get_pulls_and_does_not_push() -> Result<()> {
    Stage::play("getters", |stage| {
        fs::write(stage.path("file"), "content")?;
        stage.reposure(&["image", "push", "default", "app", "file"]).ok()?;
        let proxied = format!("--resource-name=https:{POD}:10250");
        let rights = ["--verb=get", "--resource=pods/proxy", &proxied];
        let user = User::create(stage, "reader", &[&rights, &token(PULL_ACCOUNT)])?;
        let pulled = user.reposure(&["image", "pull", "default", "app", "--unpack"]).ok()?;
        ensure!(pulled.text() == "content", "{pulled}");
        let refused = user.reposure(&["image", "push", "default", "app:v2", "file"]).output()?;
        ensure!(refused.code == Some(4), "a reader pushed: {refused}");
        // Who may only look through the proxy, but forward ports, pushes by that.
        let forwarded = format!("--resource-name={POD}");
        let forward = ["--verb=get,create", "--resource=pods/portforward", &forwarded];
        let both = User::create(stage, "both", &[&rights, &forward, &token(PUSH_ACCOUNT)])?;
        let pushed = both.reposure(&["image", "push", "default", "both", "file", "-v"]).ok()?;
        ensure!(pushed.stderr.contains("channel port-forward"), "{pushed}");
        let again = both.reposure(&["image", "push", "default", "both", "file", "-v"]).ok()?;
        ensure!(again.stderr.contains("channel port-forward as before"), "{again}");
        let nobody = User::create(stage, "nobody", &[&token(PUSH_ACCOUNT)])?;
        let refused = nobody.reposure(&["image", "push", "default", "app:v2", "file"]).output()?;
        ensure!(refused.code == Some(4), "who may nothing pushed: {refused}");
        let seen = nobody.reposure(&["doctor"]).output()?;
        ensure!(seen.code == Some(4) && seen.text().contains("failed   right to pull"), "{seen}");
        let seen = user.reposure(&["doctor"]).ok()?.text();
        for line in [
            "warning  registry default",
            "ok       right to pull",
            "warning  right to push",
            "ok       channel proxy",
            "warning  channel port-forward",
            "warning  channel exec",
        ] {
            ensure!(seen.contains(line), "{line:?} is not in {seen}");
        }
        for part in ["proxy: ", "port-forward: ", "exec: ", "pods/proxy", "kubectl create role reposure-push"]
        {
            ensure!(refused.stderr.contains(part), "{part:?} is not said: {refused}");
        }
        what_is_said_gives_the_right(stage)
    })
}

/// Has an administrator do what `doctor` tells one who may nothing to ask for, as it is written.
fn what_is_said_gives_the_right(stage: &Stage) -> Result<()> {
    let asking = User::create(stage, "asking", &[])?;
    let push = || asking.reposure(&["image", "push", "default", "asked", "file"]).output();
    let refused = push()?;
    ensure!(refused.code == Some(4), "a right that nobody gave: {refused}");
    let seen = asking.reposure(&["doctor", "-o", "json"]).output()?;
    let checks: Vec<Value> = serde_json::from_slice(&seen.stdout)?;
    let check = checks.iter().find(|check| check["name"] == "right to push").context("no right to push")?;
    let hint = check["try"].as_str().context("nothing to try")?;
    let account = format!("--user=system:serviceaccount:{}:asking", stage.namespace);
    let said: Vec<String> = hint.lines().skip(1).map(|line| line.replace("--user=USER", &account)).collect();
    ensure!(said.len() == 2 && said.iter().all(|line| line.contains(&account)), "{hint}");
    let kubectl = stage.environment.tool("kubectl");
    let others = env::var_os("PATH").unwrap_or_default();
    let folders = kubectl.parent().map(PathBuf::from).into_iter().chain(env::split_paths(&others));
    let script = ["-e", "-c", &said.join("\n")];
    let shell = Run::new("sh").args(script).env("PATH", env::join_paths(folders)?);
    shell.env("KUBECONFIG", &stage.environment.kubeconfig).ok()?;
    // What is written of rights is not known everywhere at once.
    stage.until("the right is there", || Ok(push()?.code == Some(0)))
}

#[test]
fn a_right_that_is_taken_away_in_the_middle_leads_to_another_channel() -> Result<()> {
    Stage::play("taken-away", |stage| {
        let image = RandomImage::new(8, 3, 16 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        let (proxied, pod) = (format!("--resource-name=https:{POD}:10250"), format!("--resource-name={POD}"));
        let proxy = ["--verb=get,create,update", "--resource=pods/proxy", &proxied];
        let exec = ["--verb=get,create", "--resource=pods/exec", &pod];
        let user = User::create(stage, "both", &[&proxy, &exec, &token(PUSH_ACCOUNT)])?;
        let link = Link { bandwidth: Some(4 * MEBIBYTE), ..Link::default() };
        let detour = Detour::start_for(stage, &user.kubeconfig, link)?;
        let push =
            detour.reposure(stage, &["image", "push", "default", "big:v1", "big.tar", "-v"]).start()?;
        stop_at(&detour, |counts| counts.up >= 12 * MEBIBYTE)?;
        stage.kubectl(&["delete", "rolebinding", "both-0"]).ok()?;
        let (name, account) = (
            format!("pods/https:{POD}:10250"),
            format!("--as=system:serviceaccount:{}:both", stage.namespace),
        );
        stage.until("the right is gone", || {
            let may = ["auth", "can-i", "update", &name, "--subresource=proxy", &account];
            Ok(stage.kubectl(&may).output()?.text() == "no")
        })?;
        detour.relay.set(Link::default());
        let pushed = push.output()?;
        ensure!(pushed.code == Some(0) && pushed.text() == image.digest(), "{pushed}");
        for part in ["channel proxy", "going on over exec"] {
            ensure!(pushed.stderr.contains(part), "{part:?} is not said: {pushed}");
        }
        stage.reposure(&["image", "pull", "default", "big:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)
    })
}

/// Who stands beside a registry needs to know where it is, and nothing else of the API server.
#[test]
fn a_registry_that_is_reached_takes_no_surrogate() -> Result<()> {
    Stage::play("direct", |stage| {
        fs::write(stage.path("file"), reposure_e2e::random_bytes(9 << 20))?;
        let (mut name, mut forward) = ("default", None);
        if !stage.environment.local {
            let port = forward.insert(Forward::start(stage, "service/reposure-simple", 5000)?);
            name = "near";
            stage.reposure(&["registry", "create", name, "--host", &port.host()]).ok()?;
        }
        let named = format!("--resource-name={name}");
        let get = ["--verb=get", "--resource=registries.reposure.puccini.cloud", &named];
        let user = User::create(stage, "nearby", &[&get])?;
        let nearby = |args: &[&str]| {
            let args = [&args[..2], &[name], &args[2..], &["--channel=direct"]].concat();
            stage.reposure_on_node(&args).env("KUBECONFIG", &user.kubeconfig)
        };
        let pushed = nearby(&["image", "push", "near:v1", "file", "-v"]).ok()?;
        ensure!(pushed.stderr.contains("channel direct, to "), "another channel: {pushed}");
        nearby(&["image", "push", "near:v2", "file"]).ok()?;
        let through = stage.reposure(&["image", "pull", "default", "near:v1", "--unpack"]).ok()?;
        ensure!(through.stdout == fs::read(stage.path("file"))?, "other bytes were pushed");
        let back = nearby(&["image", "pull", "near:v1", "--unpack"]).ok()?;
        ensure!(back.stdout == through.stdout, "other bytes were pulled");
        nearby(&["image", "delete", "near:v1"]).ok()?;
        ensure!(nearby(&["image", "list"]).ok()?.text() == "near:v2", "a tag beside the one deleted is lost");
        let args = ["doctor", name, "--channel=direct"];
        let seen = stage.reposure_on_node(&args).env("KUBECONFIG", &user.kubeconfig).ok()?;
        ensure!(seen.text().contains("ok       channel direct"), "{seen}");
        let refused = user.reposure(&["image", "list", name]).output()?;
        ensure!(refused.code == Some(4), "a right that nobody gave: {refused}");
        Ok(())
    })
}

fn token(account: &str) -> [&str; 3] {
    ["--verb=create", "--resource=serviceaccounts/token", account]
}

/// A ServiceAccount with a kubeconfig of its own.
struct User<'a> {
    stage: &'a Stage,
    kubeconfig: PathBuf,
}

impl<'a> User<'a> {
    /// Creates one that holds these rights and no others.
    fn create(stage: &'a Stage, name: &str, rights: &[&[&str]]) -> Result<Self> {
        stage.kubectl(&["create", "serviceaccount", name]).ok()?;
        let account = format!("--serviceaccount={}:{name}", stage.namespace);
        for (number, right) in rights.iter().enumerate() {
            let role = format!("{name}-{number}");
            stage.kubectl(&["create", "role", &role]).args(*right).ok()?;
            stage.kubectl(&["create", "rolebinding", &role, &format!("--role={role}"), &account]).ok()?;
        }
        let kubeconfig = stage.kubeconfig_of(name)?;
        Ok(Self { stage, kubeconfig })
    }

    fn reposure(&self, args: &[&str]) -> Run {
        self.stage.reposure(args).env("KUBECONFIG", &self.kubeconfig)
    }
}
