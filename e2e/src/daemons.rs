//! Docker and podman of the distribution, with folders and sockets of their own, which end with the test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{Run, Stage};

/// How long a daemon may take until it has a socket.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long one may take to end when it is asked to.
const END_LIMIT: Duration = Duration::from_secs(20);
/// How often is looked.
const POLL: Duration = Duration::from_millis(50);
/// How long podman's service lives without requests, in seconds: it outlives no test that was killed for long.
const PODMAN_LIFE: &str = "300";

/// A daemon that a test has started.
#[derive(Debug)]
pub struct TestDaemon {
    socket: PathBuf,
    /// The last one was started last, and ends first.
    processes: Vec<Child>,
}

impl TestDaemon {
    /// Starts podman's service.
    ///
    /// # Errors
    /// When podman is missing, or does not start.
    pub fn podman(stage: &Stage) -> Result<Self> {
        let folder = make(stage, "podman")?;
        let socket = folder.join("podman.sock");
        let child = Run::new("podman")
            .args(podman_store(&folder))
            .args(["system", "service", "--time", PODMAN_LIFE, &format!("unix://{}", socket.display())])
            .spawn_logged(&folder.join("log"))?;
        Self { socket, processes: vec![child] }.started(&folder.join("log"))
    }

    /// Starts docker with a containerd of its own, since it would take that of a cluster on this machine for its own.
    ///
    /// # Errors
    /// When docker is missing, or does not start.
    pub fn docker(stage: &Stage) -> Result<Self> {
        let mut all = Self::containerd(stage)?;
        let folder = make(stage, "docker")?;
        let at = |name: &str| folder.join(name).display().to_string();
        let log = folder.join("docker.log");
        let docker = Run::new("dockerd")
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--containerd".into(), all.socket.display().to_string()])
            .args(["--host", &format!("unix://{}", at("docker.sock"))])
            .spawn_logged(&log)?;
        all.processes.push(docker);
        all.socket = folder.join("docker.sock");
        all.started(&log)
    }

    /// Starts containerd of the distribution.
    ///
    /// # Errors
    /// When it is missing, or does not start.
    pub fn containerd(stage: &Stage) -> Result<Self> {
        let folder = make(stage, "containerd")?;
        let at = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n",
            at("root"),
            at("state"),
            at("containerd.sock")
        );
        fs::write(folder.join("config.toml"), config)?;
        let log = folder.join("log");
        let containerd =
            Run::new("/usr/bin/containerd").args(["--config", &at("config.toml")]).spawn_logged(&log)?;
        Self { socket: folder.join("containerd.sock"), processes: vec![containerd] }.started(&log)
    }

    /// Returns where the daemon listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the daemon's address, as `DOCKER_HOST` and `CONTAINER_HOST` have it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Waits until the daemon has its socket, which it makes when it is ready.
    fn started(mut self, log: &Path) -> Result<Self> {
        let start = Instant::now();
        let said = || fs::read_to_string(log).unwrap_or_default();
        while !self.socket.exists() {
            let ended = self.processes.last_mut().context("no process")?.try_wait()?;
            ensure!(ended.is_none(), "a daemon ended by itself: {}", said());
            ensure!(start.elapsed() < START_LIMIT, "a daemon does not get ready: {}", said());
            thread::sleep(POLL);
        }
        Ok(self)
    }
}

impl Drop for TestDaemon {
    /// Asks the daemons to end, so that they unmount what they have mounted, and ends them if they do not.
    fn drop(&mut self) {
        for child in self.processes.iter_mut().rev() {
            let _ = Run::new("kill").args([child.id().to_string()]).output();
            let start = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && start.elapsed() < END_LIMIT {
                thread::sleep(POLL);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn make(stage: &Stage, name: &str) -> Result<PathBuf> {
    let folder = stage.path(name);
    fs::create_dir(&folder)?;
    Ok(folder)
}

/// Returns the options of a podman with a store of its own.
fn podman_store(folder: &Path) -> [String; 8] {
    let folder = folder.display();
    [
        "--root".into(),
        format!("{folder}/root"),
        "--runroot".into(),
        format!("{folder}/run"),
        "--storage-driver".into(),
        "vfs".into(),
        "--cgroup-manager".into(),
        "cgroupfs".into(),
    ]
}
