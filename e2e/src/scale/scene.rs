//! Nodes that kwok fakes, a server that answers for all pods on them, and an operator.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::json;

use crate::{Environment, Stage};

/// Where kwok puts pods; nothing else is there.
const PODS: &str = "10.99.0.0/16";
const FIRST_POD: &str = "10.99.0.1/16";
/// What kwok makes of nodes and pods.
const STAGES: &str = include_str!("stages.yaml");
/// kwok does not renew Leases itself: it does so by what it has seen of them, which may be a minute old while it sees to many pods, and then
/// nothing is renewed.
const NO_LEASES: &str = "--node-lease-duration-seconds=0";
/// How often they are renewed: a node whose Lease is not for 50 s is taken for lost, and its pods for not ready.
const RENEWAL: Duration = Duration::from_secs(10);
/// How many nodes there are.
const NODES: usize = 3;
/// What the faked nodes are, and no real one is, so that surrogates are put there.
const ARCHITECTURE: &str = "faked";
/// The status port of surrogates, `reposure_parcel::wire::STATUS_PORT`.
const STATUS_PORT: u16 = 10251;

/// Faked nodes, what answers for their pods, and the operator.
pub(super) struct Scene {
    environment: Environment,
    /// In the order of their start; the last one is the operator.
    children: Vec<Child>,
    /// The nodes' Leases are renewed until this goes.
    renewing: Option<Sender<()>>,
}

impl Scene {
    pub(super) fn set(stage: &Stage) -> Result<Self> {
        let mut scene = Self { environment: stage.environment.clone(), children: Vec::new(), renewing: None };
        // What was begun is undone whatever fails after it.
        scene.build(stage)?;
        Ok(scene)
    }

    fn build(&mut self, stage: &Stage) -> Result<()> {
        let environment = &self.environment;
        let definition = environment.root.join("deploy/crd.yaml");
        let apply = ["apply", "--server-side", "--force-conflicts", "-f"];
        environment.kubectl().args(apply).args([definition]).ok()?;
        // Whatever is sent to a pod of theirs arrives here.
        ip(&["route", "replace", "local", PODS, "dev", "lo"])?;
        answer_for_all()?;
        fs::write(stage.path("stages.yaml"), STAGES)?;
        let kwok = Command::new(environment.tool("kwok"))
            .arg("--kubeconfig")
            .arg(&environment.kubeconfig)
            .arg("--config")
            .arg(stage.path("stages.yaml"))
            .args([
                "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
                "--cidr",
                FIRST_POD,
                NO_LEASES,
            ])
            .stdout(fs::File::create(stage.path("kwok.log"))?)
            .stderr(fs::File::create(stage.path("kwok.err"))?)
            .spawn()
            .context("cannot start kwok: make cluster-build")?;
        self.children.push(kwok);
        fs::write(stage.path("nodes.json"), nodes())?;
        stage.kubectl(&["apply", "-f", "nodes.json"]).ok()?;
        self.renewing = Some(renew_leases(environment.clone())?);
        let nodes = ["wait", "--for=condition=Ready", "node", "fake0", "fake1", "fake2", "--timeout=60s"];
        stage.kubectl(&nodes).ok()?;
        let operator = Command::new(environment.root.join("target/release/reposure-operator"))
            .env("KUBECONFIG", &environment.kubeconfig)
            .args(["--namespace", &stage.namespace, "--health-port", "18080", "--pod-name", &stage.namespace])
            .args(["--architectures", ARCHITECTURE])
            .stderr(fs::File::create(stage.path("operator.log"))?)
            .spawn()
            .context("cannot start the operator: make build")?;
        self.children.push(operator);
        Ok(())
    }

    pub(super) fn operator(&self) -> u32 {
        self.children.last().map_or(0, Child::id)
    }

    /// Returns the most memory that the operator has had, in MiB.
    pub(super) fn peak_memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.operator()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
        let kibibytes: f64 = line.split_whitespace().nth(1).context("no size")?.parse()?;
        Ok(kibibytes / 1024.0)
    }

    /// Removes everything, and does not wait for the faked nodes, which are about to go, to let their pods go. The namespace follows.
    pub(super) fn clear(stage: &Stage) -> Result<()> {
        stage.kubectl(&["delete", "registries", "--all", "--wait=false"]).ok()?;
        stage.kubectl(&["delete", "statefulsets", "--all", "--wait=false"]).ok()?;
        let pods = ["delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false"];
        stage.kubectl(&pods).ok().map(drop)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.renewing = None;
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let commands: [&[&str]; 3] = [
            &[
                "delete",
                "lease",
                "fake0",
                "fake1",
                "fake2",
                "--namespace=kube-node-lease",
                "--ignore-not-found",
            ],
            &["delete", "node", "fake0", "fake1", "fake2", "--wait=false"],
            &["delete", "lease", "reposure-operator", "--namespace=default", "--ignore-not-found"],
        ];
        for command in commands {
            let _ = self.environment.kubectl().args(command).output();
        }
        let _ = ip(&["route", "del", "local", PODS, "dev", "lo"]);
    }
}

/// Renews the nodes' Leases until what it returns goes.
fn renew_leases(environment: Environment) -> Result<Sender<()>> {
    renew(&environment)?;
    let (keep, kept) = mpsc::channel();
    thread::spawn(move || {
        while kept.recv_timeout(RENEWAL) == Err(RecvTimeoutError::Timeout) {
            // The next time will do.
            let _ = renew(&environment);
        }
    });
    Ok(keep)
}

fn renew(environment: &Environment) -> Result<()> {
    let now = Timestamp::now().strftime("%FT%T.%6fZ");
    let lease = |number: usize| {
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": format!("fake{number}"), "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": format!("fake{number}"), "leaseDurationSeconds": 40, "renewTime": now.to_string()}})
    };
    let leases: Vec<_> = (0..NODES).map(lease).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": leases});
    environment.kubectl().args(["apply", "--server-side", "-f", "-"]).stdin(list.to_string()).ok().map(drop)
}

fn ip(args: &[&str]) -> Result<()> {
    let status = Command::new("ip").args(args).status().context("cannot run ip")?;
    ensure!(status.success(), "ip {} failed", args.join(" "));
    Ok(())
}

fn nodes() -> String {
    let node = |number: usize| {
        let room = r#"{"cpu": "1000", "memory": "1000Gi", "pods": "1000"}"#;
        format!(
            r#"{{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "fake{number}",
                "annotations": {{"kwok.x-k8s.io/node": "fake"}},
                "labels": {{"kubernetes.io/os": "linux", "kubernetes.io/arch": "{ARCHITECTURE}", "kubernetes.io/hostname": "fake{number}"}}}},
                "status": {{"allocatable": {room}, "capacity": {room}}}}}"#
        )
    };
    let nodes: Vec<_> = (0..NODES).map(node).collect();
    format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{}]}}"#, nodes.join(","))
}

/// Answers every question for a surrogate's status: all is well.
fn answer_for_all() -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", STATUS_PORT)).context("the status port is taken")?;
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(answer(stream))));
    Ok(())
}

fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    // The question is always the same, and fits.
    let _read = stream.read(&mut [0; 1024])?;
    let check = r#"{"reason": "Ok"}"#;
    let body = format!(r#"{{"build": "fake", "podUid": "", "registry": {check}, "keys": {check}}}"#);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes())?;
    Ok(())
}
