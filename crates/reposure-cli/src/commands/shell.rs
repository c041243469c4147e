//! A shell beside a container of ours. Our images have none, so it runs in a container of its own that is added to the pod.

mod container;
mod terminal;

use std::{collections::BTreeMap, io::IsTerminal as _, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, LogParams, Patch, PatchParams},
};
use reposure_admin::{Verb, plan::pod::is_ready};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    args::parse_duration,
    context::Cluster,
    exit::{Failure, Kind},
    output,
};

use container::{State, container, state};

/// How often it is asked whether the container runs.
const PAUSE: Duration = Duration::from_millis(300);
/// How long the kubelet may take to tell that a container has ended, which cannot be attached to any more: its status comes after the
/// container runtime's events, which it may look for once in 10 s alone.
const TOLD: Duration = Duration::from_secs(15);
/// What is read of a log at once, in bytes.
const PIECE: usize = 16 << 10;

/// Which image, and what runs in it.
#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// An image with a shell
    #[arg(long, value_name = "IMAGE", default_value = "docker.io/library/busybox:1")]
    image: String,
    /// How long it may take to start: 30s, 5m
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    timeout: Duration,
    /// What to run
    #[arg(last = true, value_name = "COMMAND", default_value = "sh")]
    command: Vec<String>,
}

/// Whose pod it is, and beside which container.
pub(super) struct Beside<'a> {
    /// The pod's labels.
    pub(super) labels: BTreeMap<String, String>,
    /// The container, whose processes are seen.
    pub(super) container: &'a str,
    /// What names it in an error.
    pub(super) what: &'a str,
}

/// Adds a container to the pod, and speaks with what runs in it until that ends.
pub(super) async fn run(cluster: &Cluster, beside: Beside<'_>, args: &ShellArgs) -> Result<()> {
    let api: Api<Pod> = cluster.api();
    let pod = find(cluster, &api, &beside).await?;
    let name = pod.name_any();
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let added = container(&pod, beside.container, &args.image, &args.command, terminal);
    let patch = Patch::Strategic(json!({"spec": {"ephemeralContainers": [added]}}));
    let patched = api.patch_ephemeral_containers(&name, &PatchParams::default(), &patch).await;
    patched.with_context(|| format!("cannot add a container to pod {name}"))?;
    eprintln!("container {} in pod {name}; its files are in /proc/1/root", added.name);
    let runs = started(&api, &name, &added.name, args.timeout).await?;
    if terminal && runs {
        return terminal::speak(&api, &name, &added.name).await;
    }
    let fed = async { if runs { feed(&api, &name, &added.name).await } else { Ok(()) } };
    tokio::select! {
        printed = print(&api, &name, &added.name) => printed?,
        Err(error) = fed => return Err(error),
    }
    let failure = match end(&api, &name, &added.name).await? {
        Some(0) => return Ok(()),
        Some(code) => {
            Failure::new(Kind::Other, format!("what ran in the container ended with exit code {code}"))
        }
        None => Failure::new(Kind::Unreachable, "what the container says broke off, and it runs on"),
    };
    Err(failure.into())
}

/// Passes standard input to a container, unless that has ended meanwhile.
async fn feed(api: &Api<Pod>, pod: &str, container: &str) -> Result<()> {
    let Err(error) = terminal::feed(api, pod, container).await else { return Ok(()) };
    if end(api, pod, container).await?.is_some() { Ok(()) } else { Err(error) }
}

/// Waits until it is told with which exit code a container has ended; none if it seems to run on.
async fn end(api: &Api<Pod>, pod: &str, container: &str) -> Result<Option<i32>> {
    let end = Instant::now() + TOLD;
    while Instant::now() < end {
        let seen = api.get(pod).await.with_context(|| format!("cannot look at pod {pod}"))?;
        if let State::Ended(code) = state(&seen, container) {
            return Ok(Some(code));
        }
        sleep(PAUSE).await;
    }
    Ok(None)
}

/// Finds a pod, one that is ready if there is one.
async fn find(cluster: &Cluster, api: &Api<Pod>, beside: &Beside<'_>) -> Result<Pod> {
    let labels = beside.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
    let pods = api.list(&ListParams::default().labels(&labels.join(","))).await;
    let pods = pods.map_err(|error| cluster.failed::<Pod>(Verb::List, "*", error));
    let mut pods = pods.with_context(|| format!("cannot look for the pods of {}", beside.what))?.items;
    pods.sort_by_key(|pod| !is_ready(pod));
    pods.into_iter().next().ok_or_else(|| {
        let message = format!("there is no pod of {} in namespace {}", beside.what, cluster.namespace);
        Failure::new(Kind::NotFound, message).into()
    })
}

/// Waits until the container runs; says whether it still does.
async fn started(api: &Api<Pod>, pod: &str, container: &str, limit: Duration) -> Result<bool> {
    let begin = Instant::now();
    loop {
        let seen = api.get(pod).await.with_context(|| format!("cannot look at pod {pod}"))?;
        let why = match state(&seen, container) {
            State::Running => return Ok(true),
            State::Ended(_) => return Ok(false),
            State::Waiting(why) => why,
            State::Failed(why) => {
                let message = format!("the container does not start: {why}");
                return Err(Failure::new(Kind::Unreachable, message)
                    .hint("--image with one that the nodes can pull")
                    .into());
            }
        };
        if begin.elapsed() >= limit {
            let message = format!("the container has not started after {} s: {why}", limit.as_secs());
            return Err(Failure::new(Kind::Unreachable, message).into());
        }
        sleep(PAUSE).await;
    }
}

/// Prints what a container says until it ends. Its log has all of it, where those who attach miss what was said before, and what is
/// said at the end of a short life.
async fn print(api: &Api<Pod>, pod: &str, container: &str) -> Result<()> {
    let params = LogParams { container: Some(container.into()), follow: true, ..LogParams::default() };
    let stream = api.log_stream(pod, &params).await.context("cannot read what the container says")?;
    let (mut stream, mut bytes) = (std::pin::pin!(stream), vec![0; PIECE]);
    loop {
        let length = stream.read(&mut bytes).await.context("cannot read what the container says")?;
        if length == 0 {
            return Ok(());
        }
        output::bytes(&bytes[..length])?;
    }
}
