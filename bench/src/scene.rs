//! A registry and a surrogate beside it, as processes of this machine.

use std::{
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::Run;
use tempfile::TempDir;

use crate::memory;

/// How long a process may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// An empty registry, and a surrogate that knows nothing.
pub(crate) struct Scene {
    pub(crate) root: PathBuf,
    /// A folder of this scene alone, for what clients remember.
    pub(crate) folder: TempDir,
    pub(crate) registry: String,
    pub(crate) surrogate: String,
    surrogate_process: Process,
    _registry_process: Process,
}

/// A process that ends with it.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Scene {
    pub(crate) fn start(root: &Path, folder: &Path) -> Result<Self> {
        let folder = tempfile::tempdir_in(folder)?;
        let [registry, surrogate, status] = free_ports()?;
        let blobs = folder.path().join("registry");
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{registry}'}}\n",
            blobs.display()
        );
        let path = folder.path().join("registry.yml");
        fs::write(&path, config)?;
        let mut command = Command::new(root.join("build/bin/registry3"));
        command.env("OTEL_TRACES_EXPORTER", "none").arg("serve").arg(&path);
        let registry_process = start(command, &folder, &registry)?;

        let config = format!(
            r#"{{"namespace": "bench", "registry": "bench", "listen": "{surrogate}", "statusListen": "{status}",
                "upstream": {{"host": "{registry}", "scheme": "http"}}, "access": {{"mode": "loopback"}}}}"#
        );
        let path = folder.path().join("surrogate.json");
        fs::write(&path, config)?;
        let mut command = Command::new(root.join("target/release/reposure-surrogate"));
        command.args(["serve", "--config"]).arg(&path);
        let surrogate_process = start(command, &folder, &surrogate)?;
        Ok(Self {
            root: root.into(),
            folder,
            registry,
            surrogate,
            surrogate_process,
            _registry_process: registry_process,
        })
    }

    /// Finds a program of others.
    pub(crate) fn tool(&self, name: &str) -> Run {
        let built = self.root.join("build/bin").join(name);
        Run::new(if built.exists() { built } else { name.into() })
    }

    /// Returns how many bytes the registry's blobs have.
    pub(crate) fn stored(&self) -> Result<u64> {
        let mut folders = vec![self.folder.path().join("registry/docker/registry/v2/blobs")];
        let mut sum = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                match entry.metadata()? {
                    metadata if metadata.is_dir() => folders.push(entry.path()),
                    metadata => sum += metadata.len(),
                }
            }
        }
        Ok(sum)
    }

    /// Returns the high-water of the surrogate's memory, in KiB.
    pub(crate) fn surrogate_memory(&self) -> u64 {
        memory::high_water(self.surrogate_process.id()).unwrap_or_default()
    }
}

/// Starts a process and waits until it listens.
pub(crate) fn start(mut command: Command, folder: &TempDir, address: &str) -> Result<Process> {
    let log = folder.path().join(format!("{}.log", address.replace(':', "-")));
    let shown = format!("{command:?}");
    command.stdout(File::create(&log)?).stderr(File::create(&log)?);
    let mut process = Process(command.spawn().with_context(|| format!("cannot start {shown}"))?);
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        let is_running = process.0.try_wait()?.is_none() && start.elapsed() < PATIENCE;
        ensure!(is_running, "{shown} does not listen: {}", fs::read_to_string(&log)?);
        thread::sleep(POLL);
    }
    Ok(process)
}

/// Finds ports that nothing listens at; all are held until the last one is found.
pub(crate) fn free_ports<const N: usize>() -> Result<[String; N]> {
    let listeners: Vec<_> = (0..N).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
    let addresses: Vec<_> =
        listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect::<Result<_>>()?;
    addresses.try_into().ok().context("as many as were asked for")
}
