//! How soon what changes in Secrets counts: when the kubelet has brought it, without a restart.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reposure_e2e::Stage;
use serde_json::{Value, json};

use crate::secured::{authority, secret};

/// By when a change is to count: a kubelet looks after up to 90 s, and a surrogate every few seconds.
const BOUND: Duration = Duration::from_secs(120);

fn apply(stage: &Stage, name: &str, kind: &str, data: &[(&str, &[u8])]) -> Result<()> {
    let data: Vec<(String, Value)> =
        data.iter().map(|(key, value)| ((*key).into(), STANDARD.encode(value).into())).collect();
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind,
        "data": serde_json::Map::from_iter(data)});
    stage.kubectl(&["apply", "-f", "-"]).stdin(object.to_string()).ok().map(drop)
}

fn credentials(stage: &Stage, user: &str) -> Result<()> {
    let data: [(&str, &[u8]); 2] = [("username", user.as_bytes()), ("password", b"secret")];
    apply(stage, "credentials", "kubernetes.io/basic-auth", &data)
}

fn trust(stage: &Stage, pem: &[u8]) -> Result<()> {
    apply(stage, "trust", "Opaque", &[("ca.crt", pem)])
}

/// Pushes something new until that works, and returns when the push began that did.
fn pushed(stage: &Stage) -> Result<Instant> {
    loop {
        let begun = Instant::now();
        fs::write(stage.path("file"), reposure_e2e::random_bytes(1 << 20))?;
        let push = stage.reposure(&["image", "push", "default", "app", "file"]).output()?;
        if push.code == Some(0) {
            return Ok(begun);
        }
        ensure!(begun.elapsed() < BOUND, "a push does not end: {push}");
        sleep(Duration::from_secs(1));
    }
}

/// A user who may but pull becomes one who may push, and an authority that has signed nothing the one that has signed what is shown: pushes
/// work when the surrogate knows of both, and of either alone they do not.
#[test]
fn a_changed_secret_reaches_the_surrogate_within_two_minutes() -> Result<()> {
    Stage::play_bare("arrivals", |stage| {
        stage.install_operator()?;
        let hash = bcrypt::hash("secret", 4)?;
        let (writer, reader) = (format!("writer:{hash}\n"), format!("reader:{hash}\n"));
        let users: [(&str, &[u8]); 2] =
            [("htpasswd", writer.as_bytes()), ("htpasswd-pull", reader.as_bytes())];
        apply(stage, "reposure-simple-htpasswd", "Opaque", &users)?;
        let install =
            ["simple", "install", "--authentication", "--issuer=none", "--authorization", "--ephemeral"];
        stage.reposure(&install).args(["--wait", "--timeout=2m"]).args(stage.environment.gate_args()).ok()?;
        authority(stage)?;
        trust(stage, &fs::read(stage.path("ca.pem"))?)?;
        credentials(stage, "reader")?;
        let create =
            ["registry", "create", "default", "--provider=simple", "--authorization-secret=credentials"];
        let trusting = ["--authentication-secret=trust", "--authentication-secret-data-key=ca.crt"];
        stage.reposure(&create).args(trusting).ok()?;
        until_reason(stage, "CertificateUntrusted")?;
        let path = "jsonpath={.metadata.uid} {.status.containerStatuses[0].restartCount}";
        let pod = ["get", "pod", "reposure-surrogate-default-0", "-o", path];
        let before = stage.kubectl(&pod).ok()?.text();

        let real = secret(stage, "reposure-simple-authentication", r"ca\.crt")?;
        trust(stage, &real)?;
        let changed = Instant::now();
        stage.until("the surrogate trusts the registry", || {
            Ok(status(stage)?["registry"]["reason"] == "Ok")
        })?;
        let seen = changed.elapsed();
        ensure!(seen < BOUND, "the authority was seen after {seen:?} only");
        fs::write(stage.path("file"), "content")?;
        let refused = stage.reposure(&["image", "push", "default", "app", "file"]).output()?;
        let is_denied = refused.stderr.to_lowercase().contains("denied");
        ensure!(
            refused.code != Some(0) && is_denied,
            "a reader pushes, or fails for another reason: {refused}"
        );

        credentials(stage, "writer")?;
        let changed = Instant::now();
        let took = pushed(stage)?.duration_since(changed);
        eprintln!("the authority is seen after {seen:?}, the credentials after {took:?}");
        ensure!(took < BOUND, "the credentials were seen after {took:?} only");
        ensure!(stage.kubectl(&pod).ok()?.text() == before, "the surrogate was started again");
        Ok(())
    })
}

/// Asks the surrogate how it is.
fn status(stage: &Stage) -> Result<Value> {
    let args = ["--silent", "--fail", "http://@/status"];
    Ok(serde_json::from_slice(&stage.curl("reposure-surrogate-default-0", 10251, &args)?.stdout)?)
}

fn until_reason(stage: &Stage, reason: &str) -> Result<()> {
    let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].reason}"#;
    stage.until(&format!("Ready is {reason}"), || {
        Ok(stage.kubectl(&["get", "registry", "default", "-o", path]).ok()?.text() == reason)
    })
}
