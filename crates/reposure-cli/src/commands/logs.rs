//! The logs of pods of ours.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use clap::Args;
use futures::{AsyncBufReadExt as _, TryStreamExt as _, future::try_join_all};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, LogParams},
};
use reposure_admin::Verb;
use tokio::time::{Duration, sleep};

use crate::{
    context::Cluster,
    exit::{Failure, Kind},
    output,
};

/// The pause before a log that broke off is followed again.
const PAUSE: Duration = Duration::from_secs(1);

/// `--tail` and `--follow`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LogsArgs {
    /// How many of the last lines to show; all by default
    #[arg(long, short = 't', value_name = "N")]
    tail: Option<i64>,
    /// Go on showing new lines, also those of a pod that replaces this one
    #[arg(long, short = 'f')]
    follow: bool,
}

/// Prints the logs of the pods with these labels; `what` names them in an error.
pub(super) async fn print(
    cluster: &Cluster,
    labels: &BTreeMap<String, String>,
    what: &str,
    args: LogsArgs,
) -> Result<()> {
    let api: Api<Pod> = cluster.api();
    let selector = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let mut params = LogParams { follow: args.follow, tail_lines: args.tail, ..LogParams::default() };
    loop {
        let pods = api.list(&ListParams::default().labels(&selector)).await;
        let pods = pods.map_err(|error| cluster.failed::<Pod>(Verb::List, "*", error));
        let pods = pods.with_context(|| format!("cannot look for the pods of {what}"))?;
        if pods.items.is_empty() && !args.follow {
            let message = format!("there is no pod of {what} in namespace {}", cluster.namespace);
            return Err(Failure::new(Kind::NotFound, message).into());
        }
        let started = Timestamp::now();
        for pod in pods {
            let printed = of_pod(&api, &pod, &params).await;
            if !args.follow {
                printed.with_context(|| format!("cannot read the log of pod {}", pod.name_any()))?;
            }
        }
        if !args.follow {
            return Ok(());
        }
        params.tail_lines = None;
        params.since_time = Some(started);
        sleep(PAUSE).await;
    }
}

/// Prints the logs of the containers of a pod: one after the other, or side by side where they go on.
async fn of_pod(api: &Api<Pod>, pod: &Pod, params: &LogParams) -> Result<()> {
    let name = pod.name_any();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let all = containers.map(|container| {
        of_container(api, &name, LogParams { container: Some(container.name.clone()), ..params.clone() })
    });
    if params.follow {
        return try_join_all(all).await.map(drop);
    }
    for printed in all {
        printed.await?;
    }
    Ok(())
}

async fn of_container(api: &Api<Pod>, pod: &str, params: LogParams) -> Result<()> {
    let mut lines = api.log_stream(pod, &params).await?.lines();
    while let Some(line) = lines.try_next().await? {
        output::print(&format!("{line}\n"))?;
    }
    Ok(())
}
