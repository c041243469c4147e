//! The configuration of Distribution, which both of its versions read.

use reposure_api::names::SIMPLE_PORT;
use reposure_parcel::gate::REGISTRY_PORT;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    keys::SimpleKeys,
    options::{S3, SimpleOptions, Storage},
};

/// The file of the configuration, and its key in the Secret.
pub(super) const CONFIG_FILE: &str = "config.yml";

/// How long Distribution may finish what it has begun: as long as the gate before it waits.
const DRAIN: &str = "25s";

/// Returns the configuration, which holds all that is secret: Distribution reads no other file, and variables of a container are shown to
/// whoever may see its processes.
///
/// Locations are relative, since absolute ones would name a host that a client behind a proxy cannot reach.
pub(super) fn configuration(options: &SimpleOptions, keys: &SimpleKeys) -> SecretString {
    let storage = match &options.storage {
        Storage::Ephemeral | Storage::Claim { .. } => {
            "  filesystem:\n    rootdirectory: /var/lib/registry\n".into()
        }
        Storage::S3(s3) => of_s3(s3, keys),
    };
    let address = if options.has_gate() {
        // Whoever reached it beside the gate would need no password.
        format!("  addr: 127.0.0.1:{REGISTRY_PORT}\n  draintimeout: {DRAIN}\n")
    } else {
        format!("  addr: :{SIMPLE_PORT}\n")
    };
    let secret = quoted(keys.signing.expose_secret());
    format!(
        "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\nstorage:\n{storage}  delete:\n    \
         enabled: true\nhttp:\n{address}  secret: {secret}\n  relativeurls: true\n  headers:\n    \
         X-Content-Type-Options: [nosniff]\n"
    )
    .into()
}

/// JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn of_s3(s3: &S3, keys: &SimpleKeys) -> String {
    let opened = keys.s3.as_ref();
    let mut keys = vec![("bucket", quoted(&s3.bucket)), ("region", quoted(&s3.region))];
    if !s3.prefix.is_empty() {
        keys.push(("rootdirectory", quoted(&format!("/{}", s3.prefix))));
    }
    if let Some(endpoint) = &s3.endpoint {
        // Stores of others rarely have a name for each bucket.
        keys.extend([("regionendpoint", quoted(endpoint)), ("forcepathstyle", "true".into())]);
    }
    if let Some(opened) = opened {
        let quoted = |secret: &SecretString| quoted(secret.expose_secret());
        keys.extend([("accesskey", quoted(&opened.access)), ("secretkey", quoted(&opened.secret))]);
    }
    let keys: Vec<String> = keys.into_iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
    // A client that is sent to the store for a blob may not be able to reach it.
    format!("  redirect:\n    disable: true\n  s3:\n{}", keys.concat())
}

/// Returns what the pod is annotated with, so that another configuration is another pod. It tells nothing of what is secret, since nobody
/// can guess the 32 random bytes that are a part of it.
pub(super) fn hash(config: &SecretString) -> String {
    let hash = Sha256::digest(config.expose_secret());
    hash.iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
