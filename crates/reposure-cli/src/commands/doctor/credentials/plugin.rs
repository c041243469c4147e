//! A program that gives credentials, by `exec` of the kubeconfig.
//!
//! See [Kubernetes, "client-go credential plugins"](https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins).

use std::{collections::HashMap, process::Stdio, time::Duration};

use jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

use super::{Credential, TOKEN_SOON};

/// How long the program may take: it has given credentials just now, and most keep them.
const DEADLINE: Duration = Duration::from_secs(15);
/// The most that it may say, in bytes: a certificate and its key have some thousands.
const OUTPUT: u64 = 1 << 20;

#[derive(Deserialize)]
struct Given {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<String>,
    client_certificate_data: Option<String>,
}

/// Asks the program once more, without a terminal; none where it needs one, or gives nothing.
pub(super) async fn credential(exec: &ExecConfig) -> Option<Credential> {
    // What needs to know the cluster is told it by kube alone.
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) || exec.provide_cluster_info {
        return None;
    }
    let output = timeout(DEADLINE, run(exec)).await.ok()??;
    let given: Given = serde_saphyr::from_slice(&output).ok()?;
    Some(of(given.status?, exec.command.as_deref()?))
}

/// Runs the program and returns what it says; it ends when this is dropped.
async fn run(exec: &ExecConfig) -> Option<Vec<u8>> {
    let mut command = Command::new(exec.command.as_deref()?);
    command.args(exec.args.iter().flatten());
    let pair = |pair: &HashMap<String, String>| Some((pair.get("name")?.clone(), pair.get("value")?.clone()));
    command.envs(exec.env.iter().flatten().filter_map(pair));
    let wish =
        json!({"kind": "ExecCredential", "apiVersion": exec.api_version, "spec": {"interactive": false}});
    command.env("KUBERNETES_EXEC_INFO", wish.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let mut output = Vec::new();
    child.stdout.take()?.take(OUTPUT).read_to_end(&mut output).await.ok()?;
    child.wait().await.ok()?.success().then_some(output)
}

fn of(status: Status, program: &str) -> Credential {
    let what = format!("what {program} gives");
    let token = status.token.map(SecretString::from);
    let credential = match (&status.client_certificate_data, &token) {
        (Some(pem), _) => Credential::certificate(what, pem.as_bytes()),
        (None, Some(token)) => Credential::token(what, token),
        (None, None) => Credential { what, end: None, soon: TOKEN_SOON },
    };
    // The program gives a new one, so that the end of this one need not be known long before.
    Credential { end: status.expiration_timestamp.or(credential.end), soon: TOKEN_SOON, ..credential }
}
