//! What `doctor` says of a cluster on which all is well.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::Stage;
use serde_json::Value;

/// What it looks at, in order.
const CHECKS: [&str; 17] = [
    "client",
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
    "channel kubectl",
    "surrogate",
    "the registry itself",
    "storage",
];

#[test]
fn every_hop_of_a_healthy_registry_is_well() -> Result<()> {
    Stage::play("healthy", |stage| {
        let kubectl = stage.environment.tool("kubectl");
        let others = env::var_os("PATH").unwrap_or_default();
        let folders = kubectl.parent().map(PathBuf::from).into_iter().chain(env::split_paths(&others));
        let path = env::join_paths(folders)?;
        let doctor = |args: &[&str]| stage.reposure(args).env("PATH", &path).ok();
        let seen = doctor(&["doctor", "-o", "json"])?;
        let mut checks: Vec<Value> = serde_json::from_slice(&seen.stdout)?;
        // There is one more where the registry is reached from here, too.
        checks.retain(|check| check["name"] != "channel direct");
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
            for figure in figures(name) {
                ensure!(check.get(figure).is_some(), "{figure} is missing: {check}");
            }
        }
        let text = doctor(&["doctor"])?.text();
        for name in CHECKS {
            let line = format!("ok       {name:<24}");
            ensure!(text.lines().any(|said| said.starts_with(&line)), "{line:?} is not in {text}");
        }
        Ok(())
    })
}

/// Returns the figures that a check has for programs.
fn figures(name: &str) -> &'static [&'static str] {
    match name {
        "client" | "surrogate" => &["version"],
        "credentials" => &["expires"],
        "API server" => &["firstAnswerMs", "version"],
        "clock" => &["clockSkewSeconds"],
        _ if name.starts_with("channel ") => &["roundTripMs", "upMibPerSecond", "downMibPerSecond"],
        _ => &[],
    }
}
