//! The configuration of Distribution, which both of its versions read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use reposure_api::names::SIMPLE_PORT;
use reposure_parcel::gate::REGISTRY_PORT;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::options::{S3, SimpleOptions, Storage};

/// How long Distribution may finish what it has begun: as long as the gate before it waits.
const DRAIN: &str = "25s";

/// Returns the configuration.
///
/// Locations are relative, since absolute ones would name a host that a client behind a proxy cannot reach.
pub(super) fn configuration(options: &SimpleOptions) -> String {
    let storage = match &options.storage {
        Storage::Ephemeral | Storage::Claim { .. } => {
            "  filesystem:\n    rootdirectory: /var/lib/registry\n".into()
        }
        Storage::S3(s3) => of_s3(s3),
    };
    let address = if options.has_gate() {
        // Whoever reached it beside the gate would need no password.
        format!("  addr: 127.0.0.1:{REGISTRY_PORT}\n  draintimeout: {DRAIN}\n")
    } else {
        format!("  addr: :{SIMPLE_PORT}\n")
    };
    format!(
        "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\nstorage:\n{storage}  delete:\n    \
         enabled: true\nhttp:\n{address}  relativeurls: true\n  headers:\n    X-Content-Type-Options: [nosniff]\n"
    )
}

fn of_s3(s3: &S3) -> String {
    // JSON's strings are YAML's.
    let quoted = |text: &str| Value::from(text).to_string();
    let mut keys = vec![("bucket", quoted(&s3.bucket)), ("region", quoted(&s3.region))];
    if !s3.prefix.is_empty() {
        keys.push(("rootdirectory", quoted(&format!("/{}", s3.prefix))));
    }
    if let Some(endpoint) = &s3.endpoint {
        // Stores of others rarely have a name for each bucket.
        keys.extend([("regionendpoint", quoted(endpoint)), ("forcepathstyle", "true".into())]);
    }
    let keys: Vec<String> = keys.into_iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
    // A client that is sent to the store for a blob may not be able to reach it.
    format!("  redirect:\n    disable: true\n  s3:\n{}", keys.concat())
}

pub(super) fn config_map(options: &SimpleOptions, config: &str) -> ConfigMap {
    ConfigMap {
        metadata: options.metadata(),
        data: Some(BTreeMap::from([("config.yml".into(), config.into())])),
        ..ConfigMap::default()
    }
}

/// Returns what the pod is annotated with, so that another configuration is another pod.
pub(super) fn hash(config: &str) -> String {
    Sha256::digest(config).iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
