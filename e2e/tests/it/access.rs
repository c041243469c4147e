//! Nobody passes the surrogate without a token of its own registry.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use reposure_e2e::{Run, Stage};
use serde_json::Value;

#[test]
fn the_surrogate_answers_nobody_without_a_good_token() -> Result<()> {
    Stage::play("tokens", |stage| {
        let audience = format!("reposure.puccini.cloud/{}/default", stage.namespace);
        let good = token(stage, "reposure-surrogate-default-pull", &audience)?;
        ensure!(status(stage, Some(&good), "/v2/_catalog")? == 200, "a good token is refused");
        let bad = [
            ("none", None),
            (
                "of another registry",
                Some(token(stage, "reposure-surrogate-default-pull", "reposure.puccini.cloud/x/default")?),
            ),
            (
                "for the API server",
                Some(token(stage, "reposure-surrogate-default-pull", "https://kubernetes.default.svc")?),
            ),
            ("of another account", Some(token(stage, "default", &audience)?)),
            ("self-made", Some(signed(stage, &good, &own_key(stage)?, |_| {})?)),
            ("unsigned", Some(unsigned(&good))),
            ("cut", Some(good.trim_end_matches(|c| c != '.').to_owned())),
        ];
        let mut bad = bad.to_vec();
        if stage.environment.local {
            // Only here is the cluster's own key at hand: the claims are right but for the time.
            let key = stage.environment.root.join("build/cluster/pki/service-account.key");
            let again = signed(stage, &good, &key, |_| {})?;
            ensure!(status(stage, Some(&again), "/v2/_catalog")? == 200, "a token signed anew is refused");
            bad.push((
                "expired",
                Some(signed(stage, &good, &key, |claims| claims["exp"] = 1_700_000_000.into())?),
            ));
        }
        for (what, token) in bad {
            for path in ["/v2/_catalog", "/reposure/v1/hello"] {
                let status = status(stage, token.as_deref(), path)?;
                ensure!(status == 401, "a token that is {what} got {status} for {path}");
            }
        }
        // Without TLS nobody is to show a token, good as it may be: only tickets count there.
        for token in [Some(good.as_str()), None] {
            for path in ["/v2/_catalog", "/reposure/v1/hello", "/reposure/v1/tickets"] {
                let status = status_over(stage, "http", token, path)?;
                ensure!(status == 401, "{path} without TLS got {status}");
            }
        }
        Ok(())
    })
}

fn token(stage: &Stage, account: &str, audience: &str) -> Result<String> {
    Ok(stage.kubectl(&["create", "token", account, "--audience", audience]).ok()?.text())
}

/// Asks the surrogate from within the cluster, as any pod could.
fn status(stage: &Stage, token: Option<&str>, path: &str) -> Result<u16> {
    status_over(stage, "https", token, path)
}

fn status_over(stage: &Stage, scheme: &str, token: Option<&str>, path: &str) -> Result<u16> {
    let header = format!("Reposure-Token: {}", token.unwrap_or_default());
    let url = format!("{scheme}://@{path}");
    let mut args = vec!["-sk", "-w", "\n%{http_code}", url.as_str()];
    if token.is_some() {
        args.extend(["-H", header.as_str()]);
    }
    let output = stage.curl("reposure-surrogate-default-0", 10250, &args)?.text();
    let (body, status) = output.rsplit_once('\n').unwrap_or(("", output.as_str()));
    let status = status.parse()?;
    if status == 401 {
        ensure!(!body.contains("default"), "the refusal says something: {body}");
    }
    Ok(status)
}

/// Signs the claims of a good token, changed, with a key by `openssl`, as the API server signs them.
fn signed(stage: &Stage, token: &str, key: &Path, change: impl FnOnce(&mut Value)) -> Result<String> {
    let mut parts = token.split('.');
    let header = parts.next().context("no header")?;
    let mut claims: Value = serde_json::from_slice(&BASE64.decode(parts.next().context("no claims")?)?)?;
    change(&mut claims);
    let message = format!("{header}.{}", BASE64.encode(claims.to_string()));
    let sign = Run::new("openssl").args(["dgst", "-sha256", "-sign"]).args([key]).folder(&stage.path(""));
    let signature = sign.stdin(message.clone()).ok()?.stdout;
    Ok(format!("{message}.{}", BASE64.encode(signature)))
}

/// A key that the cluster does not know.
fn own_key(stage: &Stage) -> Result<PathBuf> {
    let path = stage.path("own.key");
    Run::new("openssl").args(["genrsa", "-out"]).args([&path]).ok()?;
    Ok(path)
}

/// The same claims under `alg: none`.
fn unsigned(token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap_or_default();
    format!("{}.{claims}.", BASE64.encode(r#"{"alg":"none","typ":"JWT"}"#))
}
