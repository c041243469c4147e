//! How an operator bears hundreds of registries: on nodes that kwok fakes, with a server that answers for all surrogates.

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use reposure_e2e::{Environment, Stage};

use crate::processor;

/// Where kwok puts pods; nothing else is there.
const PODS: &str = "10.99.0.0/16";
const FIRST_POD: &str = "10.99.0.1/16";
/// What kwok makes of nodes and pods.
const STAGES: &str = include_str!("scale/stages.yaml");
/// Nodes whose Lease is not renewed are taken for lost after 40 s, and their pods for not ready.
const LEASES: &str = "--node-lease-duration-seconds=40";
/// The status port of surrogates, `reposure_parcel::wire::STATUS_PORT`.
const STATUS_PORT: u16 = 10251;
/// Until what was stirred up is still.
const SETTLE: Duration = Duration::from_secs(30);
/// By when everything must have happened.
const PATIENCE: Duration = Duration::from_secs(600);

/// Measure an operator with many registries, on faked nodes of the local cluster
#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// How many registries there are
    #[arg(long, default_value_t = 500)]
    registries: usize,
    /// For how long the operator is watched when all is quiet, in seconds
    #[arg(long, default_value_t = 120)]
    quiet: u64,
}

pub(crate) fn run(args: &ScaleArgs) -> Result<()> {
    let stage = Stage::new("scale")?;
    let scene = Scene::set(&stage)?;
    let registries = objects(&stage, args.registries);
    fs::write(stage.path("registries.json"), registries)?;
    let start = Instant::now();
    stage.kubectl(&["create", "-f", "registries.json"]).ok()?;
    println!("{} registries are created after {:.1} s", args.registries, start.elapsed().as_secs_f64());
    wait_until_made(&stage, args.registries)?;
    println!("their StatefulSets are made after {:.1} s", start.elapsed().as_secs_f64());
    wait_until_ready(&stage, args.registries)?;
    println!("all surrogates are ready after {:.1} s", start.elapsed().as_secs_f64());
    thread::sleep(SETTLE);
    let before = processor::seconds(scene.operator())?;
    thread::sleep(Duration::from_secs(args.quiet));
    let used = processor::seconds(scene.operator())? - before;
    #[expect(clippy::cast_precision_loss, reason = "seconds are few")]
    let share = 100.0 * used / args.quiet as f64;
    println!("when quiet the operator takes {share:.2} % of a core");
    println!("a changed registry is reconciled after {:.2} s", change(&stage)?.as_secs_f64());
    println!("the operator has taken {:.1} MiB of memory at most", scene.peak_memory()?);
    scene.clear(&stage)
}

fn objects(stage: &Stage, count: usize) -> String {
    let mut items = String::new();
    for number in 0..count {
        // Writing to a string does not fail.
        let _ = write!(
            items,
            r#"{}{{"apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
                "metadata": {{"name": "r{number}", "namespace": "{}"}},
                "spec": {{"type": "oci", "direct": {{"host": "registry.example:5000"}}, "scheme": "http"}}}}"#,
            if number > 0 { "," } else { "" },
            stage.namespace
        );
    }
    format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{items}]}}"#)
}

/// Waits until the operator has done its part. What follows is the StatefulSet controller's, which makes 20 requests a second unless
/// the cluster says otherwise, and some five of them for each.
fn wait_until_made(stage: &Stage, count: usize) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let made = stage.kubectl(&["get", "statefulsets", "-o", "name"]).ok()?.text().lines().count();
        if made == count {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(1));
    }
    bail!("not all StatefulSets are made after {} s", PATIENCE.as_secs())
}

fn wait_until_ready(stage: &Stage, count: usize) -> Result<()> {
    let path = r#"jsonpath={.items[*].status.conditions[?(@.type=="SurrogateReady")].status}"#;
    let end = Instant::now() + PATIENCE;
    let mut ready = 0;
    while Instant::now() < end {
        let states = stage.kubectl(&["get", "registries", "-o", path]).ok()?.text();
        ready = states.split_whitespace().filter(|state| *state == "True").count();
        if ready == count {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(1));
    }
    bail!("{ready} of {count} surrogates are ready after {} s", PATIENCE.as_secs())
}

/// Changes one registry, and returns after which time its status is of the change.
fn change(stage: &Stage) -> Result<Duration> {
    let other_port = r#"{"spec": {"surrogatePort": 10255}}"#;
    let start = Instant::now();
    stage.kubectl(&["patch", "registry", "r7", "--type=merge", "-p", other_port]).ok()?;
    while start.elapsed() < PATIENCE {
        let path = "jsonpath={.metadata.generation} {.status.observedGeneration}";
        let seen = stage.kubectl(&["get", "registry", "r7", "-o", path]).ok()?.text();
        if seen == "2 2" {
            return Ok(start.elapsed());
        }
    }
    bail!("the change is not reconciled")
}

/// Faked nodes, what answers for their pods, and the operator.
struct Scene {
    environment: Environment,
    /// In the order of their start; the last one is the operator.
    children: Vec<Child>,
}

impl Scene {
    fn set(stage: &Stage) -> Result<Self> {
        let mut scene = Self { environment: stage.environment.clone(), children: Vec::new() };
        // What was begun is undone whatever fails after it.
        scene.build(stage)?;
        Ok(scene)
    }

    fn build(&mut self, stage: &Stage) -> Result<()> {
        let environment = &self.environment;
        let crd = environment.root.join("deploy/crd.yaml");
        environment.kubectl().args(["apply", "--server-side", "--force-conflicts", "-f"]).args([crd]).ok()?;
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
                LEASES,
            ])
            .stdout(fs::File::create(stage.path("kwok.log"))?)
            .stderr(fs::File::create(stage.path("kwok.err"))?)
            .spawn()
            .context("cannot start kwok: e2e/cluster/build.sh kwok")?;
        self.children.push(kwok);
        environment.kubectl().args(["cordon", "node1", "node2"]).ok()?;
        fs::write(stage.path("nodes.json"), nodes())?;
        stage.kubectl(&["apply", "-f", "nodes.json"]).ok()?;
        let nodes = ["wait", "--for=condition=Ready", "node", "fake0", "fake1", "fake2", "--timeout=60s"];
        stage.kubectl(&nodes).ok()?;
        let operator = Command::new(environment.root.join("target/release/reposure-operator"))
            .env("KUBECONFIG", &environment.kubeconfig)
            .args(["--namespace", &stage.namespace, "--health-port", "18080", "--pod-name", &stage.namespace])
            .stderr(fs::File::create(stage.path("operator.log"))?)
            .spawn()
            .context("cannot start the operator: make build")?;
        self.children.push(operator);
        Ok(())
    }

    fn operator(&self) -> u32 {
        self.children.last().map_or(0, Child::id)
    }

    /// Returns the most memory that the operator has had, in MiB.
    fn peak_memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.operator()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
        let kibibytes: f64 = line.split_whitespace().nth(1).context("no size")?.parse()?;
        Ok(kibibytes / 1024.0)
    }

    /// Removes everything while the faked nodes still let their pods go.
    fn clear(&self, stage: &Stage) -> Result<()> {
        stage.kubectl(&["delete", "registries", "--all", "--wait=false"]).ok()?;
        self.environment.kubectl().args(["delete", "namespace", &stage.namespace, "--timeout=300s"]).ok()?;
        Ok(())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let commands: [&[&str]; 3] = [
            &["delete", "node", "fake0", "fake1", "fake2", "--wait=false"],
            &["uncordon", "node1", "node2"],
            &["delete", "lease", "reposure-operator", "--namespace=default", "--ignore-not-found"],
        ];
        for command in commands {
            let _ = self.environment.kubectl().args(command).output();
        }
        let _ = ip(&["route", "del", "local", PODS, "dev", "lo"]);
    }
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
                "labels": {{"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "fake{number}"}}}},
                "status": {{"allocatable": {room}, "capacity": {room}}}}}"#
        )
    };
    let nodes: Vec<_> = (0..3).map(node).collect();
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
