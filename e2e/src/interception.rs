//! A middle box between a client and the cluster's API server, which sees what goes through it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use reposure_testing::MiddleBox;
use tokio::runtime::{Builder, Runtime};

use crate::{Run, Stage, detour::Server};

/// A middle box before the API server, and a kubeconfig that leads through it and trusts it.
#[derive(Debug)]
pub struct Interception {
    /// The middle box.
    pub middle_box: MiddleBox,
    /// The kubeconfig.
    pub kubeconfig: PathBuf,
    _runtime: Runtime,
}

impl Interception {
    /// Starts a middle box, and writes a kubeconfig into the stage's folder for the user of another one, who has a token: what TLS
    /// says of a client ends at a middle box.
    ///
    /// # Errors
    /// When it cannot listen, or the kubeconfig names no API server.
    pub fn start_for(stage: &Stage, of: &Path) -> Result<Self> {
        let server = Server::of(stage, of)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let middle_box = runtime.block_on(MiddleBox::start(server.address()))?;
        let authority = stage.path(&format!("{}.crt", middle_box.address().port()));
        fs::write(&authority, middle_box.authority())?;
        let trust = format!("--certificate-authority={}", authority.display());
        let kubeconfig = server.replaced(stage, of, middle_box.address(), &[&trust, "--embed-certs=true"])?;
        Ok(Self { middle_box, kubeconfig, _runtime: runtime })
    }

    /// Runs `reposure` on a stage, through the middle box.
    pub fn reposure(&self, stage: &Stage, args: &[&str]) -> Run {
        stage.reposure(args).env("KUBECONFIG", &self.kubeconfig)
    }
}
