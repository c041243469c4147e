//! A relay between a client and the cluster's API server.

use std::{
    fs,
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use reposure_testing::relay::{Link, Relay};
use serde_json::Value;

use crate::{Run, Stage};

/// The port of an `https` URL that names none.
const PORT: u16 = 443;

/// A relay to the API server, and a kubeconfig that leads through it. The API server's certificate has to be valid for
/// 127.0.0.1, as it is on the local cluster, with kind and with minikube.
#[derive(Debug)]
pub struct Detour {
    /// The relay.
    pub relay: Relay,
    /// The kubeconfig of the stage, with the relay in place of the API server.
    pub kubeconfig: PathBuf,
}

impl Detour {
    /// Starts a relay, and writes the kubeconfig into the stage's folder.
    ///
    /// # Errors
    /// When the relay cannot listen, or the stage's kubeconfig names no API server.
    pub fn start(stage: &Stage, link: Link) -> Result<Self> {
        Self::start_for(stage, &stage.environment.kubeconfig, link)
    }

    /// Does the same for another one's kubeconfig.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_for(stage: &Stage, of: &Path, link: Link) -> Result<Self> {
        let server = Server::of(stage, of)?;
        let relay = Relay::start(server.address, link)?;
        let kubeconfig = server.replaced(stage, of, relay.address(), &[])?;
        Ok(Self { relay, kubeconfig })
    }

    /// Runs `reposure` on a stage, through the relay.
    pub fn reposure(&self, stage: &Stage, args: &[&str]) -> Run {
        stage.reposure(args).env("KUBECONFIG", &self.kubeconfig)
    }
}

/// The API server of a kubeconfig.
#[derive(Debug)]
pub struct Server {
    /// What the kubeconfig calls its cluster.
    name: String,
    address: SocketAddr,
    path: String,
}

impl Server {
    /// Finds the API server of a kubeconfig.
    ///
    /// # Errors
    /// When it names none.
    pub fn of(stage: &Stage, kubeconfig: &Path) -> Result<Self> {
        let view = ["config", "view", "--minify", "-o", "json"];
        let view = stage.kubectl(&view).env("KUBECONFIG", kubeconfig).ok()?;
        let view: Value = serde_json::from_slice(&view.stdout)?;
        let text =
            |path: &str| view.pointer(path).and_then(Value::as_str).context("no cluster in the kubeconfig");
        let (address, path) = resolve(text("/clusters/0/cluster/server")?)?;
        Ok(Self { name: text("/clusters/0/name")?.into(), address, path: path.into() })
    }

    /// Returns where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Copies the kubeconfig, with what listens at `by` in place of the API server, and with more options of its cluster.
    pub(crate) fn replaced(
        &self,
        stage: &Stage,
        kubeconfig: &Path,
        by: SocketAddr,
        more: &[&str],
    ) -> Result<PathBuf> {
        let copy = stage.path(&format!("through-{}.kubeconfig", by.port()));
        fs::copy(kubeconfig, &copy)?;
        let server = format!("--server=https://{by}{}", self.path);
        let set = ["config", "set-cluster", &self.name, &server];
        stage.kubectl(&set).args(more).env("KUBECONFIG", &copy).ok()?;
        Ok(copy)
    }
}

/// Takes a server's URL apart, into its address and its path.
fn resolve(server: &str) -> Result<(SocketAddr, &str)> {
    let rest = server.strip_prefix("https://").context("the API server has no https URL")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let found = host.to_socket_addrs().or_else(|_| (host, PORT).to_socket_addrs());
    let address = found?.next().with_context(|| format!("{host} has no address"))?;
    Ok((address, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_taken_apart() {
        let resolved = |server| resolve(server).map(|(address, path)| (address.to_string(), path)).ok();
        assert_eq!(resolved("https://10.0.0.1:6443"), Some(("10.0.0.1:6443".into(), "")));
        assert_eq!(resolved("https://10.0.0.1/k8s/c-1"), Some(("10.0.0.1:443".into(), "/k8s/c-1")));
        assert_eq!(resolved("http://10.0.0.1"), None);
    }
}
