//! What `doctor` says of a cluster on which all is well.

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::Stage;
use serde_json::Value;

/// What it looks at, in order.
const CHECKS: [&str; 15] = [
    "kubeconfig",
    "credentials",
    "API server",
    "clock",
    "registry default",
    "volume",
    "right to pull",
    "right to push",
    "right to delete",
    "channel proxy",
    "channel port-forward",
    "channel exec",
    "surrogate",
    "the registry itself",
    "storage",
];

#[test]
fn every_hop_of_a_healthy_registry_is_well() -> Result<()> {
    Stage::play("healthy", |stage| {
        let seen = stage.reposure(&["doctor", "-o", "json"]).ok()?;
        let checks: Vec<Value> = serde_json::from_slice(&seen.stdout)?;
        let names: Vec<_> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
        ensure!(names == CHECKS, "{names:?}");
        for check in &checks {
            ensure!(check["state"] == "ok" && check.get("try").is_none(), "{check}");
            let detail = check["detail"].as_str().context("no detail")?;
            let name = check["name"].as_str().unwrap_or_default();
            if name.starts_with("channel ") {
                for part in ["hello after ", "round trip ", " up ", " down ", "MiB/s"] {
                    ensure!(detail.contains(part), "{part:?} is not said: {check}");
                }
            }
        }
        let text = stage.reposure(&["doctor"]).ok()?.text();
        ensure!(text.lines().count() == CHECKS.len(), "{text}");
        ensure!(
            text.lines().zip(CHECKS).all(|(line, name)| line.starts_with(&format!("ok       {name} "))),
            "{text}"
        );
        Ok(())
    })
}
