//! Where things are: the repository, the binaries, the cluster.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::Run;

/// The cluster that the tests run on, and the programs that they run.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The root of the repository.
    pub root: PathBuf,
    /// The kubeconfig of an administrator.
    pub kubeconfig: PathBuf,
    /// Whether it is the cluster of `make cluster`, whose nodes are network namespaces of this machine.
    pub local: bool,
}

impl Environment {
    /// Finds the cluster.
    ///
    /// # Errors
    /// When there is none: a test that cannot run fails.
    pub fn find() -> Result<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?.to_owned();
        let other = env::var_os("REPOSURE_E2E_KUBECONFIG").map(PathBuf::from);
        let local = other.is_none();
        let kubeconfig = other.unwrap_or_else(|| root.join("build/cluster/admin.kubeconfig"));
        ensure!(kubeconfig.exists(), "there is no cluster: run make cluster, or set REPOSURE_E2E_KUBECONFIG");
        Ok(Self { root, kubeconfig, local })
    }

    /// Returns what `operator install` must be told of the image: the local cluster's nodes have the one that is the default.
    pub fn image_args(&self) -> Vec<String> {
        env::var("REPOSURE_E2E_IMAGE").map_or_else(|_| Vec::new(), |image| vec!["--image".into(), image])
    }

    /// Returns what `simple install` must be told of it, for the gate.
    pub fn gate_args(&self) -> Option<String> {
        self.image_args().pop().map(|image| format!("--gate-image={image}"))
    }

    /// Runs `reposure`, as built by `make build`.
    pub fn reposure(&self) -> Run {
        Run::new(self.root.join("target/release/reposure")).env("KUBECONFIG", &self.kubeconfig)
    }

    /// Runs `kubectl`, of the version of the local cluster where there is one.
    pub fn kubectl(&self) -> Run {
        Run::new(self.tool("kubectl")).env("KUBECONFIG", &self.kubeconfig)
    }

    /// Runs a program in the network namespace of a node of the local cluster, where Services are reached.
    pub fn on_node(&self, node: &str, program: &str) -> Run {
        let script = self.root.join("e2e/cluster/cluster.sh");
        Run::new(script).args(["on-node", node]).args([self.tool(program)])
    }

    /// Tells the nodes of the local cluster to pull from `host` over plain HTTP.
    ///
    /// # Errors
    /// When the script fails.
    pub fn trust(&self, host: &str) -> Result<()> {
        self.script().args(["trust", host]).ok().map(drop)
    }

    /// Tells the nodes of the local cluster to pull from `host` over TLS, with a certificate of the authority in a file.
    ///
    /// # Errors
    /// When the script fails.
    pub fn trust_authority(&self, host: &str, file: &Path) -> Result<()> {
        self.script().args(["trust", host]).args([file]).ok().map(drop)
    }

    /// Kills a component of the local cluster and starts it again.
    ///
    /// # Errors
    /// When the script fails, or the component does not come back.
    pub fn restart(&self, component: &str) -> Result<()> {
        self.script().args(["restart", component]).ok().map(drop)
    }

    /// Stops a component of the local cluster.
    ///
    /// # Errors
    /// When the script fails.
    pub fn stop(&self, component: &str) -> Result<()> {
        self.script().args(["stop", component]).ok().map(drop)
    }

    /// Starts a component of the local cluster that was stopped.
    ///
    /// # Errors
    /// When the script fails, or the component does not come.
    pub fn start(&self, component: &str) -> Result<()> {
        self.script().args(["start", component]).ok().map(drop)
    }

    /// Kills the API server of the local cluster and starts it again with these arguments beside its usual ones.
    ///
    /// # Errors
    /// When the script fails, or the API server does not come back.
    pub fn restart_apiserver_with(&self, arguments: &str) -> Result<()> {
        self.script().env("APISERVER_ARGS", arguments).args(["restart", "apiserver"]).ok().map(drop)
    }

    fn script(&self) -> Run {
        Run::new(self.root.join("e2e/cluster/cluster.sh"))
    }

    /// Finds a program among the ones that the local cluster was built with, else leaves it to the search path.
    pub fn tool(&self, program: &str) -> PathBuf {
        let built = self.root.join("build/bin").join(program);
        if built.exists() { built } else { program.into() }
    }
}
