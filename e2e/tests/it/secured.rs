//! The simple registry with TLS and passwords: who gets in, and what happens when either changes.

use std::{
    fs::{self, File},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reposure_e2e::{Detour, Run, Stage};
use reposure_testing::{RandomImage, relay::Link};
use serde_json::{Value, json};

use crate::middle::{MEBIBYTE, assert_pulled};

const SECURED: [&str; 5] = ["simple", "install", "--authentication", "--authorization", "--wait"];
pub(crate) const CREATE: [&str; 6] =
    ["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"];

#[test]
fn a_registry_that_was_open_asks_for_a_password() -> Result<()> {
    Stage::play_bare("secured", |stage| {
        stage.install_operator()?;
        stage.reposure(&["simple", "install", "--size=64Mi", "--wait", "--timeout=2m"]).ok()?;
        stage.reposure(&CREATE).ok()?;
        let image = RandomImage::new(7, 2, 2 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("image.tar"))?)?;
        stage.reposure(&["image", "push", "default", "app:v1", "image.tar"]).ok()?;

        let installed = install(stage, &["--size=64Mi"])?;
        let made = installed.lines().last().and_then(|line| line.strip_prefix("reposure:"));
        let password = made.context("no password was printed")?.to_owned();
        stage.reposure(&CREATE).ok()?;
        stage.reposure(&["image", "pull", "default", "app:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)?;
        stage.reposure(&["image", "push", "default", "app:v2", "image.tar"]).ok()?;
        stage.reposure(&["image", "delete", "default", "app:v1"]).ok()?;
        let listed = stage.reposure(&["image", "list", "default"]).ok()?.text();
        ensure!(listed == "app:v2", "{listed}");

        who_gets_in(stage, &password)?;
        let again = install(stage, &["--size=64Mi"])?;
        ensure!(!again.contains("reposure:"), "another password: {again}");
        // The log of either container is shown.
        let log = stage.reposure(&["simple", "logs"]).ok()?.text();
        ensure!(log.contains("standing before the registry") && log.contains("listening on"), "{log}");
        tells_no_secret(stage, "reposure", &password)?;
        stage.reposure(&["simple", "uninstall", "--delete-images", "--wait"]).ok()?;
        let left = stage.kubectl(&["get", "secrets", "-o", "name"]).ok()?.text();
        ensure!(!left.contains("reposure-simple"), "left behind: {left}");
        Ok(())
    })
}

/// Sees to it that the password stands in no log, Event, status or specification, neither as it is nor as it is sent.
fn tells_no_secret(stage: &Stage, user: &str, password: &str) -> Result<()> {
    // Wrong ones are told, but not which.
    ensure!(ask(stage, Some(&format!("{user}:{password}x")), "GET", "/v2/")?.0 == "401");
    let all = "registries,pods,statefulsets,deployments,configmaps,services,events,roles,rolebindings";
    let mut told = stage.kubectl(&["get", all, "-o", "yaml"]).ok()?.text();
    let of = ["logs", "-l", "app.kubernetes.io/part-of=reposure", "--all-containers", "--tail=-1"];
    let logs = stage.kubectl(&of).ok()?.text();
    ensure!(logs.contains("standing before the registry") && logs.contains("serving"), "{logs}");
    told.push_str(&logs);
    for secret in
        [password.to_owned(), STANDARD.encode(password), STANDARD.encode(format!("{user}:{password}"))]
    {
        ensure!(!told.contains(&secret), "the password is told");
    }
    Ok(())
}

/// Installs the registry with TLS and passwords, and returns what was printed.
fn install(stage: &Stage, args: &[&str]) -> Result<String> {
    let install = stage.reposure(&SECURED).args(args).args(["--timeout=2m"]);
    Ok(install.args(stage.environment.gate_args()).ok()?.text())
}

fn who_gets_in(stage: &Stage, password: &str) -> Result<()> {
    let docker: Value =
        serde_json::from_slice(&secret(stage, "reposure-simple-pull", r"\.dockerconfigjson")?)?;
    let host = stage.host()?;
    let entry = &docker["auths"][&host];
    let pull = format!("{}:{}", text(&entry["username"]), text(&entry["password"]));
    ensure!(pull.starts_with("reposure-pull:"), "no entry for {host}");
    let all = format!("reposure:{password}");
    let uploads = "/v2/app/blobs/uploads/";
    for (user, method, path, expected) in [
        (None, "GET", "/", "200"),
        (None, "GET", "/v2/", "401"),
        (Some("reposure:wrong"), "GET", "/v2/", "401"),
        (Some(pull.as_str()), "GET", "/v2/app/tags/list", "200"),
        (Some(pull.as_str()), "POST", uploads, "403"),
        (Some(pull.as_str()), "DELETE", "/v2/app/manifests/v2", "403"),
        (Some(all.as_str()), "POST", uploads, "202"),
    ] {
        let (status, body) = ask(stage, user, method, path)?;
        ensure!(status == expected, "{method} {path} by {user:?} got {status}: {body}");
        ensure!(expected != "403" || body.contains("DENIED"), "{body}");
        ensure!(expected != "401" || body.contains("UNAUTHORIZED"), "{body}");
    }
    Ok(())
}

/// Asks the registry by `curl`, as a node would, which trusts the authority that the Secret names.
pub(crate) fn ask(stage: &Stage, user: Option<&str>, method: &str, path: &str) -> Result<(String, String)> {
    fs::write(stage.path("ca.crt"), secret(stage, "reposure-simple-authentication", r"ca\.crt")?)?;
    let service = ["get", "service", "reposure-simple", "-o", "jsonpath={.spec.clusterIP}"];
    let url = format!("https://{}:5000{path}", stage.kubectl(&service).ok()?.text());
    let authority = stage.path("ca.crt").display().to_string();
    let mut args = vec!["-sS", "-X", method, "--cacert", &authority, "-w", "\n%{http_code}", &url];
    if let Some(user) = user {
        args.extend(["-u", user]);
    }
    let output = stage.environment.on_node("node2", "curl").args(args).ok()?.text();
    let (body, status) = output.rsplit_once('\n').unwrap_or(("", output.as_str()));
    Ok((status.into(), body.into()))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn secret(stage: &Stage, name: &str, key: &str) -> Result<Vec<u8>> {
    let path = format!("jsonpath={{.data.{key}}}");
    let encoded = stage.kubectl(&["get", "secret", name, "-o", &path]).ok()?.text();
    Ok(STANDARD.decode(encoded)?)
}

#[test]
fn a_changed_password_and_certificate_break_no_push() -> Result<()> {
    Stage::play_bare("rotation", |stage| {
        stage.install_operator()?;
        authority(stage)?;
        // The Service's address is in no certificate before there is a Service.
        stage.reposure(&["simple", "install", "--ephemeral"]).ok()?;
        issue(stage)?;
        let first = fs::read_to_string(stage.path("tls.crt"))?;
        let installed = install(stage, &["--ephemeral", "--username=ann"])?;
        let old = installed.lines().last().context("nothing was printed")?.to_owned();
        stage.reposure(&CREATE).ok()?;
        ensure!(shown(stage)?.contains(first.trim()), "another certificate is shown than the Secret's");

        let image = RandomImage::new(8, 2, 48 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        // Of each of some ten connections.
        let slow = Link { bandwidth: Some(128 << 10), ..Link::default() };
        let detour = Detour::start(stage, slow)?;
        let mut push = detour.reposure(stage, &["image", "push", "default", "big:v1", "big.tar"]).start()?;
        ensure!(
            detour.relay.wait_for(Duration::from_secs(60), |seen| seen.up > 8 * MEBIBYTE),
            "nothing is sent"
        );

        change_password(stage, "ann", "another one")?;
        issue(stage)?;
        let second = fs::read_to_string(stage.path("tls.crt"))?;
        stage.until("the new password and the new certificate", || {
            // The kubelet looks at a pod's Secrets when the pod changes, and else once a minute.
            touch(stage)?;
            let status = ask(stage, Some("ann:another one"), "GET", "/v2/")?.0;
            Ok(status == "200" && shown(stage)?.contains(second.trim()))
        })?;
        ensure!(push.is_running()?, "the push ended before the change was there");
        detour.relay.set(Link::default());
        let pushed = push.output()?;
        ensure!((pushed.code, pushed.text()) == (Some(0), image.digest()), "{pushed}");
        stage.reposure(&["image", "pull", "default", "big:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)?;

        stage
            .until("the end of the old password", || Ok(ask(stage, Some(&old), "GET", "/v2/")?.0 == "401"))?;
        stage.reposure(&["image", "push", "default", "big:v2", "big.tar"]).ok()?;
        stage.reposure(&["simple", "uninstall", "--wait"]).ok()?;
        let left = stage.kubectl(&["get", "secrets", "-o", "name"]).ok()?.text();
        ensure!(
            left.contains("reposure-simple-authentication"),
            "a Secret of the user's own is gone: {left}"
        );
        Ok(())
    })
}

/// Returns the certificate that a new connection is shown, with what `openssl` says about it.
pub(crate) fn shown(stage: &Stage) -> Result<String> {
    let service = ["get", "service", "reposure-simple", "-o", "jsonpath={.spec.clusterIP}"];
    let address = format!("{}:5000", stage.kubectl(&service).ok()?.text());
    let args = ["s_client", "-connect", &address];
    Ok(stage.environment.on_node("node2", "openssl").args(args).output()?.text())
}

pub(crate) fn touch(stage: &Stage) -> Result<()> {
    touch_those(stage, "app.kubernetes.io/part-of=reposure")
}

/// Has the kubelets look at the Secrets of pods with these labels, which they do when a pod changes.
pub(crate) fn touch_those(stage: &Stage, labels: &str) -> Result<()> {
    let now = format!("touched={}", std::time::UNIX_EPOCH.elapsed()?.as_millis());
    stage.kubectl(&["annotate", "pods", "-l", labels, "--overwrite", &now]).ok().map(drop)
}

/// How long the old password may be good after a change.
const OLD_PASSWORD: Duration = Duration::from_secs(180);
/// How long one pod is made to look for changes, as its kubelet does by itself now and then.
const ALONE: Duration = Duration::from_secs(16);

/// The kubelets of a surrogate and of the registry bring a change each in its own time, up to 90 s: pushes go on whoever is first.
#[test]
fn no_push_fails_whoever_learns_of_a_new_password_first() -> Result<()> {
    Stage::play_bare("password", |stage| {
        stage.install_operator()?;
        let installed = install(stage, &["--ephemeral", "--username=ann"])?;
        let first = installed.lines().last().context("nothing was printed")?;
        stage.reposure(&CREATE).ok()?;
        let mut change = Change { stage, old: first.into(), images: 0 };
        // Now and then the registry's turn comes within the first seconds, too.
        let mut apart = false;
        for new in ["two", "three", "four"] {
            apart = apart || change.comes("surrogate", new)?;
        }
        ensure!(apart, "the registry was never the last to know");
        change.comes("simple", "five").map(drop)
    })
}

/// A password that changes, and pushes meanwhile.
struct Change<'a> {
    stage: &'a Stage,
    old: String,
    images: u64,
}

impl Change<'_> {
    /// Changes the password, pushes until the old one is good no more, and tells whether only the `first` knew of it for a while.
    fn comes(&mut self, first: &str, password: &str) -> Result<bool> {
        let new = format!("ann:{password}");
        change_password(self.stage, "ann", password)?;
        let (changed, mut apart) = (Instant::now(), false);
        while self.is_good(&self.old)? {
            ensure!(changed.elapsed() < OLD_PASSWORD, "the old password is good for too long");
            if changed.elapsed() < ALONE {
                touch_those(self.stage, &format!("app.kubernetes.io/name=reposure-{first}"))?;
                apart |= changed.elapsed() > ALONE / 2 && !self.is_good(&new)?;
            }
            self.push_another()?;
        }
        ensure!(self.is_good(&new)?, "the new password is not good");
        self.old = new;
        self.push_another()?;
        Ok(apart)
    }

    fn is_good(&self, user: &str) -> Result<bool> {
        Ok(ask(self.stage, Some(user), "GET", "/v2/")?.0 == "200")
    }

    /// Pushes an image that is not there yet.
    fn push_another(&mut self) -> Result<()> {
        self.images += 1;
        let (stage, name) = (self.stage, format!("small:v{}", self.images));
        let image = RandomImage::new(1000 + self.images, 2, 1 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("small.tar"))?)?;
        let pushed = stage.reposure(&["image", "push", "default", &name, "small.tar"]).ok()?;
        ensure!(pushed.text() == image.digest(), "{pushed}");
        Ok(())
    }
}

/// Changes the password where it is checked and where the surrogate has it from.
fn change_password(stage: &Stage, user: &str, password: &str) -> Result<()> {
    let host = format!("reposure-simple.{}.svc:5000", stage.namespace);
    let docker = json!({"auths": {host: {"username": user, "password": password}}}).to_string();
    let htpasswd = format!("{user}:{}\n", bcrypt::hash(password, 10)?);
    for (name, key, value) in [
        ("reposure-simple-authorization", ".dockerconfigjson", docker),
        ("reposure-simple-htpasswd", "htpasswd", htpasswd),
    ] {
        patch(stage, name, &json!({key: STANDARD.encode(value)}))?;
    }
    Ok(())
}

fn patch(stage: &Stage, secret: &str, data: &Value) -> Result<()> {
    let patch = json!({"data": data}).to_string();
    stage.kubectl(&["patch", "secret", secret, "--type=merge", "-p", &patch]).ok().map(drop)
}

/// Makes an authority of the test's own.
pub(crate) fn authority(stage: &Stage) -> Result<()> {
    let args = ["-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"];
    request(stage, "basicConstraints=critical,CA:TRUE", &args)
}

/// Has it make a certificate for the registry, and the Secret with it, or changes the one that is there.
pub(crate) fn issue(stage: &Stage) -> Result<()> {
    let service = ["get", "service", "reposure-simple", "-o", "jsonpath={.spec.clusterIP}"];
    let address = stage.kubectl(&service).ok()?.text();
    let host = format!("reposure-simple.{}", stage.namespace);
    let hosts = format!("DNS:reposure-simple,DNS:{host},DNS:{host}.svc,DNS:{host}.svc.cluster.local");
    let names = format!("subjectAltName={hosts},IP:{address}");
    let by = ["-subj", "/CN=registry", "-CA", "ca.pem", "-CAkey", "ca.key"];
    let files = ["-keyout", "tls.key", "-out", "tls.crt"];
    request(stage, &format!("basicConstraints=critical,CA:FALSE\n{names}"), &[&by[..], &files].concat())?;
    let name = "reposure-simple-authentication";
    let read = |file: &str| fs::read(stage.path(file)).map(|bytes| STANDARD.encode(bytes));
    let data = json!({"tls.crt": read("tls.crt")?, "tls.key": read("tls.key")?, "ca.crt": read("ca.pem")?});
    if stage.kubectl(&["get", "secret", name]).output()?.code == Some(0) {
        return patch(stage, name, &data);
    }
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name}, "data": data});
    stage.kubectl(&["create", "-f", "-"]).stdin(secret.to_string()).ok().map(drop)
}

/// Makes a key and a certificate with these extensions.
fn request(stage: &Stage, extensions: &str, args: &[&str]) -> Result<()> {
    let config = format!("[req]\ndistinguished_name=none\n[none]\n[extensions]\n{extensions}\n");
    fs::write(stage.path("openssl.cnf"), config)?;
    let new =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
    let of = ["-config", "openssl.cnf", "-extensions", "extensions"];
    Run::new("openssl").folder(&stage.path("")).args(new).args(of).args(args).ok().map(drop)
}
