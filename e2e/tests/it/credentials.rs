//! Credentials for the API server that end in the middle.

use std::{
    fs::{self, File},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Detour, Stage};
use reposure_testing::{RandomImage, relay::Link};
use serde_json::{Value, json};

use crate::middle::{MEBIBYTE, SLOW, assert_pulled};

const ACCOUNT: &str = "passing";

/// Makes a token that is good for as long as a Secret is there, and returns it.
fn token(stage: &Stage, secret: &str) -> Result<String> {
    stage.kubectl(&["create", "secret", "generic", secret]).ok()?;
    let bound = format!("--bound-object-name={secret}");
    Ok(stage.kubectl(&["create", "token", ACCOUNT, "--bound-object-kind=Secret", &bound]).ok()?.text())
}

/// Tells the plugin what to give: a token that it says to be good for so many seconds more.
fn give(stage: &Stage, token: &str, seconds: i64) -> Result<()> {
    let end = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(seconds))?;
    let given = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": token, "expirationTimestamp": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()},
    });
    // As a whole, since the plugin may be reading.
    fs::write(stage.path("given.new"), given.to_string())?;
    Ok(fs::rename(stage.path("given.new"), stage.path("given"))?)
}

/// What a cloud provider's plugin gives is good for minutes. The API server refuses it then, and so it does here.
#[test]
fn a_push_outlives_the_token_that_it_began_with() -> Result<()> {
    Stage::play("passing", |stage| {
        stage.kubectl(&["create", "serviceaccount", ACCOUNT]).ok()?;
        let account = format!("--serviceaccount={}:{ACCOUNT}", stage.namespace);
        stage.kubectl(&["create", "rolebinding", ACCOUNT, "--clusterrole=admin", &account]).ok()?;
        let kubeconfig = stage.kubeconfig_of(ACCOUNT)?;
        let mut config: Value = serde_json::from_slice(
            &stage
                .kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"])
                .env("KUBECONFIG", &kubeconfig)
                .ok()?
                .stdout,
        )?;
        let plugin = format!("echo run >> runs; cat {}", stage.path("given").display());
        config["users"][0]["user"] = json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": "/bin/sh", "args": ["-c", plugin],
        }});
        fs::write(&kubeconfig, config.to_string())?;
        let first = token(stage, "first")?;
        // A client asks for the next one a minute before.
        give(stage, &first, 62)?;
        let image = RandomImage::new(63, 2, 24 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        let link = Link { bandwidth: Some(2 * MEBIBYTE), ..Link::default() };
        let detour = Detour::start_for(stage, &kubeconfig, link)?;
        let mut push = detour.reposure(stage, &["image", "push", "default", "big:v1", "big.tar"]).start()?;
        let patience = Duration::from_secs(60);
        ensure!(detour.relay.wait_for(patience, |counts| counts.up >= 8 * MEBIBYTE), "too little was sent");
        detour.relay.set(SLOW);
        give(stage, &token(stage, "second")?, 3600)?;
        stage.kubectl(&["delete", "secret", "first"]).ok()?;
        let old = format!("--token={first}");
        stage.until("the first token is good for nothing", || {
            let who = ["auth", "whoami", "--kubeconfig=/dev/null", "--insecure-skip-tls-verify", &old];
            let server = config["clusters"][0]["cluster"]["server"].as_str().context("no server")?;
            let said = stage.kubectl(&who).args(["--server", server]).output()?;
            Ok(said.code != Some(0) && said.stderr.contains("Unauthorized"))
        })?;
        sleep(Duration::from_secs(2));
        ensure!(push.is_running()?, "it ended before its token did");
        detour.relay.set(Link::default());
        let pushed = push.output()?;
        ensure!(pushed.code == Some(0) && pushed.text() == image.digest(), "{pushed}");
        let runs = fs::read_to_string(stage.path("runs"))?.lines().count();
        ensure!(runs >= 2, "the plugin was asked {runs} times");
        stage.reposure(&["image", "pull", "default", "big:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)
    })
}
