//! `kubectl port-forward`, as other tools need it to reach what is in a cluster.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::Child,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::Stage;

/// A forwarded port, until it is dropped.
#[derive(Debug)]
pub struct Forward {
    child: Child,
    address: SocketAddr,
}

impl Forward {
    /// Forwards a free port of this machine to a port of a pod or Service of the stage, such as `service/reposure-simple`.
    ///
    /// # Errors
    /// When nothing listens within 10 s.
    pub fn start(stage: &Stage, target: &str, port: u16) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let ports = format!("{}:{port}", address.port());
        let child = stage.kubectl(&["port-forward", target, &ports]).spawn()?;
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
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait()).context("cannot end the port-forward");
    }
}
