//! `kubectl port-forward` to the registry, as the peers need it.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::Child,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use reposure_e2e::Stage;

/// A forwarded port, until it is dropped.
pub(crate) struct Forward {
    child: Child,
    address: SocketAddr,
}

impl Forward {
    /// Forwards a free port of this machine to the simple registry.
    pub(crate) fn start(stage: &Stage) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let ports = format!("{}:5000", address.port());
        let child = stage.kubectl(&["port-forward", "service/reposure-simple", &ports]).spawn()?;
        let forward = Self { child, address };
        for _ in 0..200 {
            if TcpStream::connect(forward.address).is_ok() {
                return Ok(forward);
            }
            sleep(Duration::from_millis(50));
        }
        bail!("kubectl port-forward does not listen at {address}")
    }

    /// Returns `host:port`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait()).context("cannot end the port-forward");
    }
}
