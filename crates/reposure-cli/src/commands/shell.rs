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
/// The longest log of a container that ended before it was attached to, in bytes: what a program says that asks for nothing.
const LONGEST_LOG: u64 = 16 << 20;

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
    if started(&api, &name, &added.name, args.timeout).await? {
        terminal::speak(&api, &name, &added.name, terminal).await
    } else {
        log(&api, &name, &added.name).await
    }
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
            State::Ended => return Ok(false),
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

/// Prints what a container said that ended before it could be attached to.
async fn log(api: &Api<Pod>, pod: &str, container: &str) -> Result<()> {
    let params = LogParams { container: Some(container.into()), ..LogParams::default() };
    let stream = api.log_stream(pod, &params).await.context("cannot read what the container said")?;
    let mut said = Vec::new();
    stream.take(LONGEST_LOG).read_to_end(&mut said).await.context("cannot read what the container said")?;
    output::write(&String::from_utf8_lossy(&said))
}
