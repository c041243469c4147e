//! Where docker and podman listen on this machine.

use std::{env, path::PathBuf};

use anyhow::Result;
use reposure_oci::daemon::{Daemon, DaemonAddress, Engine};

use crate::exit::{self, Failure, Kind};

/// The variables that say where a daemon listens.
const DOCKER_HOST: &str = "DOCKER_HOST";
const CONTAINER_HOST: &str = "CONTAINER_HOST";
/// Whether docker's address is one of TLS.
const DOCKER_TLS_VERIFY: &str = "DOCKER_TLS_VERIFY";

/// Names the docker daemon: the one of `DOCKER_HOST`, else the system's, the user's own, or Docker Desktop's.
pub(crate) fn docker() -> Result<Daemon> {
    let address = match variable(DOCKER_HOST)? {
        Some(DaemonAddress::Tcp(_)) if set(DOCKER_TLS_VERIFY).is_some() => {
            let message = format!(
                "{DOCKER_HOST} is reached by TLS, by {DOCKER_TLS_VERIFY}, which is not supported here"
            );
            return Err(Failure::new(Kind::Usage, message)
                .hint("docker save IMAGE | reposure image push REGISTRY IMAGE -")
                .into());
        }
        Some(address) => address,
        None => first(&[
            Some("/var/run/docker.sock".into()),
            set("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("docker.sock")),
            env::home_dir().map(|home| home.join(".docker/run/docker.sock")),
        ]),
    };
    Ok(Daemon::new(Engine::Docker, address))
}

/// Names podman's service: the one of `CONTAINER_HOST`, else the user's own or the system's.
pub(crate) fn podman() -> Result<Daemon> {
    let address = match variable(CONTAINER_HOST)? {
        Some(address) => address,
        None => first(&[
            set("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("podman/podman.sock")),
            Some("/run/podman/podman.sock".into()),
        ]),
    };
    Ok(Daemon::new(Engine::Podman, address))
}

fn variable(name: &str) -> Result<Option<DaemonAddress>> {
    let Some(text) = set(name) else { return Ok(None) };
    let parsed = text.parse().map(Some);
    parsed.map_err(|error| Failure::new(Kind::Usage, format!("{name}: {}", exit::chain(&error))).into())
}

fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the first socket that is there, else the first that might be, for the error to name.
fn first(candidates: &[Option<PathBuf>]) -> DaemonAddress {
    let mut known = candidates.iter().flatten();
    let there = known.clone().find(|path| path.exists());
    DaemonAddress::Unix(there.or_else(|| known.next()).cloned().unwrap_or_default())
}
