//! One image, pushed and pulled by each tool.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Forward, Output, Run, Stage};
use reposure_parcel::{status::Status, wire};
use reposure_testing::random::RandomImage;

use crate::{memory, peer::Peer};

/// How long the machine comes to rest before each run: blocks that are free are discarded, garbage is collected.
const REST: Duration = Duration::from_secs(1);
/// The registry, for those who need a `kubectl port-forward` to it.
pub(crate) const REGISTRY: &str = "service/reposure-simple";
pub(crate) const PORT: u16 = 5000;
/// The pod that `kubectl cp` copies into.
const COPY_POD: &str = "copy";

/// What the registry speaks. Ours verifies its certificate, the others are told to take any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// An image on disk, and a registry in the cluster to bring it to.
pub(crate) struct Task<'a> {
    stage: &'a Stage,
    name: &'static str,
    scheme: Scheme,
    forward: Forward,
    layout: PathBuf,
    sizes: Vec<usize>,
    bytes: usize,
}

impl<'a> Task<'a> {
    /// Prepares a task with a name of its own on the stage, of layers with so many MiB.
    pub(crate) fn prepare(
        stage: &'a Stage,
        scheme: Scheme,
        name: &'static str,
        layers: &[usize],
    ) -> Result<Self> {
        let sizes: Vec<usize> = layers.iter().map(|mebibytes| mebibytes << 20).collect();
        let bytes = sizes.iter().sum();
        fs::write(stage.path("file"), reposure_e2e::random_bytes(bytes))?;
        let forward = Forward::start(stage, REGISTRY, PORT)?;
        Ok(Self { stage, name, scheme, forward, layout: stage.path("layout"), sizes, bytes })
    }

    /// Makes another image for each run: what a surrogate has seen it mounts, which would be no push.
    pub(crate) fn renew(&self, run: usize) -> Result<()> {
        if self.layout.exists() {
            fs::remove_dir_all(&self.layout)?;
        }
        // No layer is one of another task, either.
        let seed = self.name.bytes().fold(run as u64, |seed, byte| (seed << 8) ^ seed ^ u64::from(byte));
        Ok(RandomImage::of_sizes(seed, &self.sizes)?.write_oci_layout("v1", &self.layout)?)
    }

    #[allow(clippy::cast_precision_loss, reason = "megabytes for people")]
    pub(crate) fn mebibytes(&self) -> f64 {
        self.bytes as f64 / f64::from(1 << 20)
    }

    /// Pushes to a repository of its own, so that nothing is there yet.
    pub(crate) fn push(&self, peer: Peer, run: usize) -> Result<Duration> {
        time(|| self.pushing(peer, run, &self.forward.host())?.ok())
    }

    /// Pushes what is there already; the peers begin with a `kubectl port-forward`.
    pub(crate) fn push_again(&self, peer: Peer, run: usize) -> Result<Duration> {
        time(|| {
            if peer == Peer::Reposure {
                return self.pushing(peer, run, "")?.ok();
            }
            let forward = Forward::start(self.stage, REGISTRY, PORT)?;
            self.pushing(peer, run, &forward.host())?.ok()
        })
    }

    /// Makes the command that pushes, to the registry that the peers reach at `host`.
    pub(crate) fn pushing(&self, peer: Peer, run: usize, host: &str) -> Result<Run> {
        let name = self.repository(peer, run);
        let remote = format!("{host}/{name}:v1");
        let layout = path(&self.layout)?;
        Ok(match peer {
            Peer::Reposure | Peer::PortForward | Peer::Exec => {
                let name = format!("{name}:v1");
                let args = ["image", "push", "default", &name, layout, "--channel", peer.channel()];
                self.stage.reposure(&args)
            }
            Peer::Crane => self.tool("crane", &["push", "--insecure", layout, &remote]),
            Peer::Oras => {
                let from = format!("{layout}:v1");
                let [plain, insecure] = self.oras_flags("to");
                self.tool("oras", &["cp", "--from-oci-layout", &from, &plain, &insecure, &remote])
            }
            Peer::Regctl => self
                .tool("regctl", &["image", "copy", &format!("ocidir://{layout}:v1"), &remote])
                .env("REGCTL_CONFIG", self.regctl_config(host)?),
            Peer::KubectlCp => self.stage.kubectl(&["cp", "file", "copy:/data/file"]),
        })
    }

    /// Pulls what was pushed.
    pub(crate) fn pull(&self, peer: Peer, run: usize) -> Result<Duration> {
        let (name, host) = (self.repository(peer, run), self.forward.host());
        let remote = format!("{host}/{name}:v1");
        let target = self.stage.path("pulled");
        let to = path(&target)?;
        let pull = match peer {
            Peer::Reposure | Peer::PortForward | Peer::Exec => {
                let name = format!("{name}:v1");
                self.stage.reposure(&["image", "pull", "default", &name, to, "--channel", peer.channel()])
            }
            Peer::Crane => self.tool("crane", &["pull", "--insecure", "--format=oci", &remote, to]),
            Peer::Oras => {
                let layout = format!("{to}:v1");
                let [plain, insecure] = self.oras_flags("from");
                self.tool("oras", &["cp", &plain, &insecure, &remote, "--to-oci-layout", &layout])
            }
            Peer::Regctl => self
                .tool("regctl", &["image", "copy", &remote, &format!("ocidir://{to}:v1")])
                .env("REGCTL_CONFIG", self.regctl_config(&host)?),
            Peer::KubectlCp => self.stage.kubectl(&["cp", "copy:/data/file", "pulled"]),
        };
        let time = time(|| pull.ok())?;
        if target.is_dir() {
            fs::remove_dir_all(&target)?;
        } else {
            fs::remove_file(&target)?;
        }
        Ok(time)
    }

    fn repository(&self, peer: Peer, run: usize) -> String {
        format!("{}/{}-{run}", self.name, peer.name().replace([' ', ','], "-"))
    }

    fn tool(&self, name: &str, args: &[&str]) -> Run {
        Run::new(self.stage.environment.tool(name)).args(args)
    }

    /// Says how oras reaches the registry that it copies `from` or `to`: without a word it takes one on this machine for one without TLS.
    fn oras_flags(&self, side: &str) -> [String; 2] {
        let https = self.scheme == Scheme::Https;
        [format!("--{side}-plain-http={}", !https), format!("--{side}-insecure={https}")]
    }

    fn regctl_config(&self, host: &str) -> Result<PathBuf> {
        let path = self.stage.path("regctl.json");
        let tls = if self.scheme == Scheme::Https { "insecure" } else { "disabled" };
        fs::write(&path, format!(r#"{{"hosts":{{"{host}":{{"tls":"{tls}"}}}}}}"#))?;
        Ok(path)
    }

    /// Prints how many connections the surrogate has accepted, in all pushes and pulls: on HTTP/1.1 the API server opens one for
    /// each request that is under way, and keeps two.
    pub(crate) fn print_connections(&self) -> Result<()> {
        let status = format!(
            "/api/v1/namespaces/{}/pods/reposure-surrogate-default-0:{}/proxy{}",
            self.stage.namespace,
            wire::STATUS_PORT,
            wire::STATUS
        );
        let status = self.stage.kubectl(&["get", "--raw", &status]).ok()?.text();
        let connections = serde_json::from_str::<Status>(&status)?.connections;
        println!("\nconnections that the surrogate accepted: {connections}");
        Ok(())
    }

    /// Prints the memory high-water of the client in one more push, and of the surrogates on this machine.
    pub(crate) fn print_memory(&self) -> Result<()> {
        self.renew(usize::MAX)?;
        let layout = path(&self.layout)?;
        let child = self.stage.reposure(&["image", "push", "default", "bench/memory:v1", layout]).spawn()?;
        let (done, client) = memory::watch(child)?;
        ensure!(done, "the push to measure memory failed");
        let surrogate =
            memory::processes("reposure-surrogate").into_iter().filter_map(memory::high_water).max();
        println!(
            "\nmemory high-water: client {} MiB, surrogate {} MiB",
            client >> 10,
            surrogate.unwrap_or(0) >> 10
        );
        Ok(())
    }
}

/// Starts a pod that `restricted` namespaces take, with a folder that it may write to.
pub(crate) fn start_copy_pod(stage: &Stage) -> Result<()> {
    let overrides = r#"{"spec":{"securityContext":{"runAsNonRoot":true,"runAsUser":1000,"fsGroup":1000,
        "seccompProfile":{"type":"RuntimeDefault"}},"containers":[{"name":"copy","image":"busybox:1",
        "command":["sleep","86400"],"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}},
        "volumeMounts":[{"name":"data","mountPath":"/data"}]}],"volumes":[{"name":"data","emptyDir":{}}]}}"#;
    let args = ["run", COPY_POD, "--image=busybox:1", &format!("--overrides={overrides}")];
    stage.kubectl(&args).ok()?;
    stage.kubectl(&["wait", "--for=condition=Ready", "pod/copy", "--timeout=60s"]).ok().map(drop)
}

fn path(path: &std::path::Path) -> Result<&str> {
    path.to_str().context("a path is not UTF-8")
}

/// Measures what `act` takes, on a machine at rest.
fn time(act: impl FnOnce() -> Result<Output>) -> Result<Duration> {
    // What the run before has left to be done would be done at the expense of this one.
    rustix::fs::sync();
    thread::sleep(REST);
    let start = Instant::now();
    act()?;
    Ok(start.elapsed())
}
